import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { diskFiles } from "../../src/checkpoint/diskFiles.ts";
import { join, type Files } from "../../src/checkpoint/files.ts";
import { memoryFiles } from "../../src/checkpoint/memoryFiles.ts";
import { latestSnapshot, writeSnapshot } from "../../src/checkpoint/snapshot.ts";
import { contentsOf, expectWhole } from "./snapshotContents.ts";

const run = "runs/a";
const checkpoints = `${run}/checkpoints`;

class Crash extends Error {}

interface Platform {
  readonly name: string;
  /** False where a directory is renamed by copying its files and removing the old ones. */
  readonly atomicRename: boolean;
  /** The order in which the files of a directory are removed. */
  readonly order: 1 | -1;
}

/** Files that die for good after `operations` changes, in the middle of one where a platform does it in parts. */
function mortal(files: Files, operations: number, { atomicRename, order }: Platform): Files {
  let left = operations;
  const live = () => {
    if (left === 0) throw new Crash();
    left--;
  };
  const filesIn = async (path: string): Promise<string[]> => {
    if ((await files.size(path)) !== null) return [path];
    const names = (await files.list(path)).sort((a, b) => (a < b ? -order : order));
    return (await Promise.all(names.map((name) => filesIn(join(path, name))))).flat();
  };

  const dying: Files = {
    ...files,
    async write(path, bytes) {
      const cut = path.lastIndexOf("/") + 1;
      const temporary = `${path.slice(0, cut)}.tmp-${path.slice(cut)}-${operations}`;
      live();
      await files.write(temporary, bytes.subarray(0, bytes.length >> 1));
      live();
      await files.write(temporary, bytes);
      live();
      await files.rename(temporary, path);
    },
    async remove(path) {
      for (const file of await filesIn(path)) {
        live();
        await files.remove(file);
      }
    },
    async rename(from, to) {
      if (atomicRename) {
        live();
        return files.rename(from, to);
      }
      for (const file of await filesIn(from)) {
        live();
        await files.write(to + file.slice(from.length), await files.read(file));
      }
      await dying.remove(from);
    },
  };
  return dying;
}

const platforms: Platform[] = [
  { name: "a disk", atomicRename: true, order: 1 },
  { name: "a disk that removes backwards", atomicRename: true, order: -1 },
  { name: "a platform that renames directories by copying", atomicRename: false, order: 1 },
  { name: "a platform that copies and removes backwards", atomicRename: false, order: -1 },
];

const writings = {
  "the next step": 300,
  "the same step again": 200,
  "an earlier step": 100,
  "a step between": 150,
};

for (const platform of platforms) {
  for (const [what, step] of Object.entries(writings)) {
    test(`${platform.name}: dying at any moment of writing ${what} leaves a good snapshot and a run that goes on`, async () => {
      for (let operations = 0, done = false; !done; operations++) {
        const files = memoryFiles();
        for (const earlier of [100, 200])
          await writeSnapshot(files, run, earlier, contentsOf(earlier, "old"));
        const dying = mortal(files, operations, platform);
        try {
          await writeSnapshot(dying, run, step, contentsOf(step, "new"));
          done = true;
        } catch (error) {
          if (!(error instanceof Crash)) throw error;
        }
        const found = await latestSnapshot(files, run);
        assert.ok(found !== null, `nothing after ${operations} operations`);
        const version = await expectWhole(files, found);
        assert.ok(version === "new" ? found.step === step : found.step === 200, `${version} ${found.step}`);
        if (done) assert.equal(version, "new");

        await writeSnapshot(files, run, found.step + 50, contentsOf(found.step + 50, "later"));
        const next = await latestSnapshot(files, run);
        assert.equal(next?.step, found.step + 50);
        assert.equal(await expectWhole(files, next), "later");
        const entries = await files.list(checkpoints);
        assert.ok(
          entries.length <= 3 && entries.every((entry) => /^(latest\.json|step-\d{8})$/.test(entry)),
          entries.join(", "),
        );
        if (done) assert.ok(operations > 10, `only ${operations} operations`);
      }
    });
  }
}

test("the newest snapshots stay, as many as asked, and latest.json names the last", async () => {
  const files = memoryFiles();
  for (const step of [0, 200, 400, 600]) await writeSnapshot(files, run, step, contentsOf(step, "x"));
  assert.deepEqual(await files.list(checkpoints), ["latest.json", "step-00000400", "step-00000600"]);
  await writeSnapshot(files, run, 800, contentsOf(800, "x"), 3);
  await writeSnapshot(files, run, 1_234_567_890, contentsOf(1_234_567_890, "x"), 3);
  assert.deepEqual(await files.list(checkpoints), [
    "latest.json",
    "step-00000600",
    "step-00000800",
    "step-1234567890",
  ]);
  assert.deepEqual(await latestSnapshot(files, run), {
    step: 1_234_567_890,
    directory: "runs/a/checkpoints/step-1234567890",
  });
});

test("a run that went back forgets the steps after", async () => {
  const files = memoryFiles();
  for (const step of [200, 400, 600]) await writeSnapshot(files, run, step, contentsOf(step, "x"), 3);
  await writeSnapshot(files, run, 300, contentsOf(300, "x"), 3);
  assert.deepEqual(await files.list(checkpoints), ["latest.json", "step-00000200", "step-00000300"]);
});

test("latest.json can be turned back by hand to an earlier snapshot", async () => {
  const files = memoryFiles();
  for (const step of [200, 400]) await writeSnapshot(files, run, step, contentsOf(step, "x"));
  await files.write(`${checkpoints}/latest.json`, new TextEncoder().encode('{"directory":"step-00000200"}'));
  assert.equal((await latestSnapshot(files, run))?.step, 200);
});

test("what a killed writer left unfinished is in no later snapshot", async () => {
  const files = memoryFiles();
  await files.write(`${checkpoints}/.tmp-step-00000100/.tmp-model.bin-1`, new Uint8Array(5));
  const { directory } = await writeSnapshot(files, run, 100, contentsOf(100, "x"));
  assert.deepEqual(await files.list(directory), [
    "config.json",
    "model.bin",
    "optimizer.bin",
    "snapshot.json",
  ]);
});

test("files of other names in the directory are left alone", async () => {
  const files = memoryFiles();
  await files.write(`${checkpoints}/notes.txt`, new Uint8Array());
  await files.write(`${checkpoints}/step-best/model.safetensors`, new Uint8Array());
  for (const step of [1, 2, 3]) await writeSnapshot(files, run, step, contentsOf(step, "x"), 1);
  assert.deepEqual(await files.list(checkpoints), ["latest.json", "notes.txt", "step-00000003", "step-best"]);
});

test("a run without a snapshot has none", async () => {
  const files = memoryFiles();
  assert.equal(await latestSnapshot(files, run), null);
  await files.write(`${checkpoints}/.tmp-step-00000100/model.safetensors`, new Uint8Array(5));
  await files.write(`${checkpoints}/step-00000100/model.safetensors`, new Uint8Array(5));
  assert.equal(await latestSnapshot(files, run), null);
});

test("without latest.json, or with a damaged one, the highest complete step is found", async () => {
  const files = memoryFiles();
  for (const step of [99_999_999, 100_000_000]) await writeSnapshot(files, run, step, contentsOf(step, "x"));
  assert.equal((await files.list(checkpoints)).length, 3);
  const damaged = [
    "",
    "{",
    "[]",
    '{"directory":5}',
    '{"directory":"step-00000001"}',
    '{"directory":"../../b"}',
  ];
  const endless = '{"directory":"step-99999999"}'.padEnd(2_000_000);
  for (const text of [...damaged, endless]) {
    await files.write(`${checkpoints}/latest.json`, new TextEncoder().encode(text));
    assert.equal((await latestSnapshot(files, run))?.step, 100_000_000);
  }
  await files.remove(`${checkpoints}/latest.json`);
  assert.equal((await latestSnapshot(files, run))?.step, 100_000_000);
});

test("a snapshot that lost a file, a part of one, or its list of files is passed over for the one before", async () => {
  const damage: ((files: Files, directory: string) => Promise<void>)[] = [
    (files, directory) => files.remove(`${directory}/model.bin`),
    (files, directory) => files.write(`${directory}/model.bin`, new Uint8Array(5)),
    (files, directory) => files.remove(`${directory}/snapshot.json`),
    (files, directory) => files.write(`${directory}/snapshot.json`, new TextEncoder().encode("{}")),
    (files, directory) =>
      files.write(`${directory}/snapshot.json`, new TextEncoder().encode('{"files":{"../x":1}}')),
  ];
  for (const harm of damage) {
    const files = memoryFiles();
    for (const step of [100, 200]) await writeSnapshot(files, run, step, contentsOf(step, "x"));
    await harm(files, `${checkpoints}/step-00000200`);
    const found = await latestSnapshot(files, run);
    assert.equal(found?.step, 100);
    await writeSnapshot(files, run, 200, contentsOf(200, "again"));
    assert.equal(await expectWhole(files, await latestSnapshot(files, run)), "again");
    assert.deepEqual(await files.list(checkpoints), ["latest.json", "step-00000100", "step-00000200"]);
    await harm(files, `${checkpoints}/step-00000200`);
    await writeSnapshot(files, run, 300, contentsOf(300, "x"));
    assert.deepEqual(await files.list(checkpoints), ["latest.json", "step-00000100", "step-00000300"]);
  }
});

test("a file that cannot be read is an error, not a reason to fall back", async () => {
  const files = memoryFiles();
  await writeSnapshot(files, run, 100, contentsOf(100, "x"));
  const broken: Files = { ...files, read: async () => Promise.reject(new Error("EIO")) };
  await assert.rejects(latestSnapshot(broken, run), { message: "EIO" });
});

test("what cannot be a snapshot is a UsageError, and nothing is written", async () => {
  const files = memoryFiles();
  const refuses = (step: number, name: string, keep: number, message: string) =>
    assert.rejects(writeSnapshot(files, run, step, { [name]: new Uint8Array() }, keep), {
      name: "UsageError",
      message,
    });
  await refuses(-1, "a", 2, "snapshot: the step must be a whole number from 0 on, got -1.");
  await refuses(0.5, "a", 2, "snapshot: the step must be a whole number from 0 on, got 0.5.");
  await refuses(1, "a", 0, "snapshot: keep must be a whole number from 1 on, got 0.");
  await refuses(
    1,
    "snapshot.json",
    2,
    'snapshot: a file\'s name must be other than snapshot.json, got "snapshot.json".',
  );
  await assert.rejects(writeSnapshot(files, run, 1, { "../a": new Uint8Array() }), { name: "UsageError" });
  assert.deepEqual(await files.list(""), []);
});

/** The last step that the writer said is written, once it was killed `milliseconds` after the first. */
async function killAfter(
  writer: ChildProcessByStdio<null, Readable, null>,
  milliseconds: number,
): Promise<number> {
  const exit = once(writer, "exit");
  let step = -1;
  for await (const line of createInterface({ input: writer.stdout })) {
    if (step === -1) setTimeout(() => writer.kill("SIGKILL"), milliseconds);
    step = Number(line);
  }
  assert.deepEqual(await exit, [null, "SIGKILL"]);
  return step;
}

test("a process killed while it writes to a disk leaves what it had reported, or newer", async (t) => {
  const root = await mkdtemp(resolve(tmpdir(), "statewise-snapshot-"));
  t.after(() => rm(root, { recursive: true }));
  const script = fileURLToPath(new URL("./snapshotWriter.js", import.meta.url));
  const files = diskFiles(root);
  for (let i = 0; i < 8; i++) {
    const writer = spawn(process.execPath, [script, root, run], { stdio: ["ignore", "pipe", "inherit"] });
    const reported = await killAfter(writer, 5 + 7 * i);
    const found = await latestSnapshot(files, run);
    assert.ok(found !== null && found.step >= reported, `found ${found?.step}, reported ${reported}`);
    await expectWhole(files, found);
  }
  const entries = await files.list(checkpoints);
  assert.ok(entries.length < 10, `leftovers of killed processes pile up: ${entries.join(", ")}`);
});
