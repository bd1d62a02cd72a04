import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { claimRun, findRun, runIn, writeConfig } from "../../src/cli/run.ts";
import { temporaryFolder } from "./cli.ts";

const config = { command: "train text", settings: { steps: 3 } };

/** A run that was made and left. */
async function madeRun(runs: string, name: string): Promise<void> {
  const run = await claimRun("train", { runs, name, fresh: false });
  await writeConfig(run, config);
  await run.release();
}

test("a claimed run is new at first, and known again later", async (t) => {
  const runs = join(temporaryFolder(t), "runs");
  const run = await claimRun("train", { runs, name: "a", fresh: false });
  assert.equal(run.config, null);
  await writeConfig(run, config);
  await run.release();
  const again = await claimRun("train", { runs, name: "a", fresh: false });
  assert.deepEqual(again.config, config);
  await again.release();
  assert.deepEqual(readdirSync(join(runs, "a")), ["config.json"]);
});

test("a claim that came to nothing leaves no directory", async (t) => {
  const runs = join(temporaryFolder(t), "runs");
  await (await claimRun("train", { runs, name: "a", fresh: false })).release();
  assert.deepEqual(readdirSync(runs), []);
});

test("two processes cannot claim one run", async (t) => {
  const runs = temporaryFolder(t);
  const run = await claimRun("train", { runs, name: "a", fresh: false });
  const directory = join(runs, "a");
  await assert.rejects(claimRun("train", { runs, name: "a", fresh: false }), {
    name: "UsageError",
    message:
      `train: ${directory} is in use by process ${process.pid}. Wait for it, choose another --name, ` +
      `or, if no such process runs, remove ${directory}/lock.`,
  });
  await assert.rejects(claimRun("train", { runs, name: "a", fresh: true }), /in use by process/);
  await run.release();
  await (await claimRun("train", { runs, name: "a", fresh: false })).release();
});

test("the claim of a process that is gone is taken over", async (t) => {
  const runs = temporaryFolder(t);
  await madeRun(runs, "a");
  writeFileSync(join(runs, "a", "lock"), `${2 ** 22 + 1} ${hostname()}\n`); // above the highest process id of Linux
  const run = await claimRun("train", { runs, name: "a", fresh: false });
  assert.match(readFileSync(join(runs, "a", "lock"), "utf8"), new RegExp(`^${process.pid} `));
  await run.release();
});

test("the claim of another machine stands, since nobody here can tell", async (t) => {
  const runs = temporaryFolder(t);
  await madeRun(runs, "a");
  writeFileSync(join(runs, "a", "lock"), "17 elsewhere\n");
  await assert.rejects(claimRun("train", { runs, name: "a", fresh: false }), /process 17 on elsewhere/);
});

test("--fresh moves the run that is there aside, whole", async (t) => {
  const runs = temporaryFolder(t);
  await madeRun(runs, "a");
  writeFileSync(join(runs, "a", "metrics.jsonl"), "kept");
  for (const movedTo of [join(runs, "a.1"), join(runs, "a.2")]) {
    const run = await claimRun("train", { runs, name: "a", fresh: true });
    assert.equal(run.movedTo, movedTo);
    assert.equal(run.config, null);
    await writeConfig(run, config);
    await run.release();
  }
  assert.deepEqual(readdirSync(join(runs, "a.1")), ["config.json", "metrics.jsonl"]);
  assert.equal(readFileSync(join(runs, "a.1", "metrics.jsonl"), "utf8"), "kept");
});

test("a directory of something else is left alone", async (t) => {
  const runs = temporaryFolder(t);
  mkdirSync(join(runs, "src"));
  writeFileSync(join(runs, "src", "main.c"), "");
  for (const fresh of [false, true]) {
    await assert.rejects(claimRun("train", { runs, name: "src", fresh }), {
      name: "UsageError",
      message: `train: ${join(runs, "src")} exists and is not a run: it has no config.json. Choose another --name.`,
    });
  }
  assert.deepEqual(readdirSync(join(runs, "src")), ["main.c"]);
});

test("a name stays below --runs", async (t) => {
  const runs = temporaryFolder(t);
  for (const name of ["../a", "a/b", ".hidden", "", "-x"]) {
    await assert.rejects(claimRun("train", { runs, name, fresh: false }), {
      name: "UsageError",
      message: `train: --name must be letters, digits, dots, dashes and underscores, got ${JSON.stringify(name)}.`,
    });
  }
});

test("a run is found by its name and by its path", async (t) => {
  const runs = temporaryFolder(t);
  await madeRun(runs, "a");
  const directory = join(runs, "a");
  assert.equal((await findRun("eval", { run: "a", runs })).directory, directory);
  assert.equal((await findRun("eval", { run: `${directory}/`, runs: "elsewhere" })).directory, directory);
  assert.deepEqual((await runIn(directory))?.config, config);
});

test("a run that is not there is answered with those that are", async (t) => {
  const runs = temporaryFolder(t);
  await assert.rejects(findRun("eval", { run: "b", runs }), {
    message: `eval: there is no run ${join(runs, "b")}. Train one first.`,
  });
  await madeRun(runs, "a");
  await assert.rejects(findRun("eval", { run: "b", runs }), {
    name: "UsageError",
    message: `eval: there is no run ${join(runs, "b")}. There are: a.`,
  });
  assert.ok(!existsSync(join(runs, "b")));
});

test("a config.json that is damaged, or of a model, is told apart from a run", async (t) => {
  const runs = temporaryFolder(t);
  const path = join(runs, "a", "config.json");
  mkdirSync(join(runs, "a"));
  for (const text of [
    "{",
    "[]",
    "3",
    "null",
    '{"model_type":"mamba"}',
    '{"command":"train text","settings":3}',
  ]) {
    writeFileSync(path, text);
    assert.equal(await runIn(join(runs, "a")), null, text);
    await assert.rejects(findRun("eval", { run: "a", runs }), {
      name: "FormatError",
      message: `${path}: must be JSON with a command and settings. Is it the directory of a model?`,
    });
  }
});
