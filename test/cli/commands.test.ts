import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { jsonLines, statewise, temporaryFolder, tiny } from "./cli.ts";

const cwd = mkdtempSync(join(tmpdir(), "statewise-cli-"));
after(() => rmSync(cwd, { recursive: true, force: true }));

before(async () => {
  writeFileSync(join(cwd, "rhyme.txt"), "Three blind mice, see how they run!\n".repeat(40));
  const trained = await Promise.all([
    statewise(["train", "text", "--file", "rhyme.txt", ...tiny, "--steps", "40"], { cwd }),
    statewise(["train", "induction-heads", ...tiny, "--steps", "2"], { cwd }),
  ]);
  assert.deepEqual(
    trained.map(({ code }) => code),
    [0, 0],
  );
});

const generate = (...args: string[]) =>
  statewise(["generate", "--run", "text", "--max-tokens", "20", ...args], { cwd });

test("generate writes text to standard output, and nothing else anywhere", async () => {
  const { code, stdout, stderr } = await generate("--prompt", "Three");
  assert.equal(code, 0);
  assert.equal(stderr, "");
  assert.ok(stdout.length > 0);
});

test("the same seed gives the same text, another one another", async () => {
  const texts = await Promise.all(
    ["7", "7", "8"].map(async (seed) => (await generate("--prompt", "Three", "--seed", seed)).stdout),
  );
  assert.equal(texts[0], texts[1]);
  assert.notEqual(texts[0], texts[2]);
});

test("generate --weights f16 writes with weights of half the size, where the device stores such", async () => {
  const { code, stdout } = await generate("--prompt", "Three", "--weights", "f16", "--device", "plain");
  assert.equal(code, 0);
  assert.ok(stdout.length > 0);
  const refused = await generate("--prompt", "Three", "--weights", "f16", "--device", "wasm");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /wasm: stores no f16\. Use f32 weights, or the webgpu device\./);
});

test("generate --json streams pieces that join to the text, then says the end", async () => {
  const [plain, json] = await Promise.all([
    generate("--prompt", "mice"),
    generate("--prompt", "mice", "--json"),
  ]);
  const lines = jsonLines(json.stdout);
  const end = lines.pop();
  assert.equal(end?.type, "end");
  assert.equal(lines.map(({ text }) => text).join(""), plain.stdout);
});

test("a prompt of - is read from standard input", async () => {
  const args = ["generate", "--run", "text", "--max-tokens", "20"];
  const [read, given] = await Promise.all([
    statewise([...args, "--prompt", "-"], { cwd, input: "blind mice" }),
    statewise([...args, "--prompt", "blind mice"], { cwd }),
  ]);
  assert.equal(read.stdout, given.stdout);
  assert.equal(read.code, 0);
});

test("generation ends before a stop string", async () => {
  const { stdout } = await generate("--prompt", "Three", "--temperature", "0");
  const stop = stdout.slice(3, 5);
  const stopped = await generate("--prompt", "Three", "--temperature", "0", "--stop", stop);
  assert.equal(stopped.stdout, stdout.slice(0, stdout.indexOf(stop)));
});

test("generate says what it lacks", async () => {
  const answers: readonly (readonly [string[], string])[] = [
    [["--run", "text"], "generate: --prompt is missing: what should the model go on from?\n"],
    [["--prompt", "x"], "generate: which model? Give --run or the directory of a model.\n"],
    [
      ["--run", "text", "--model", ".", "--prompt", "x"],
      "generate: takes --run or a model directory, not both.\n",
    ],
    [["--run", "text", "--prompt", "-"], "generate: the prompt is empty. Give at least one token.\n"],
    [
      ["--run", "none", "--prompt", "x"],
      "generate: there is no run runs/none. There are: induction-heads, text.\n",
    ],
    [
      ["--run", "induction-heads", "--prompt", "x"],
      'generate: runs/induction-heads is a run of "train induction-heads". Take one of "train text".\n',
    ],
  ];
  await Promise.all(
    answers.map(async ([args, stderr]) => {
      assert.deepEqual(await statewise(["generate", ...args], { cwd }), {
        code: 2,
        signal: null,
        stdout: "",
        stderr,
      });
    }),
  );
});

test("eval measures each length, in bits per byte for text", async () => {
  const args = ["eval", "--run", "text", "--length", "8", "100", "--batches", "1", "--json"];
  const { code, stdout } = await statewise(args, { cwd });
  assert.equal(code, 0);
  const rows = jsonLines(stdout);
  assert.deepEqual(
    rows.map(({ length }) => length),
    [8, 100],
  );
  for (const { loss, bitsPerByte, accuracy, sequences } of rows) {
    assert.ok(Math.abs(Number(bitsPerByte) - Number(loss) / Math.LN2) < 1e-12);
    assert.ok(Number(accuracy) >= 0 && Number(accuracy) <= 1);
    assert.equal(sequences, 2);
  }
});

test("any model of the catalog is trained and measured, at another sampling rate where Δ is a parameter", async (t) => {
  const folder = temporaryFolder(t);
  const s4d = ["train", "induction-heads", ...tiny, "--model", "s4d", "--steps", "2"];
  const trained = await statewise(s4d, { cwd: folder });
  assert.equal(trained.code, 0, trained.stderr);
  assert.match(trained.stdout, /^model {4}S4D, 1 layers, D 4, N 2: \d+ parameters$/m);
  const measured = (rate: string) =>
    statewise(["eval", "--run", "induction-heads", "--batches", "1", "--rate", rate, "--json"], {
      cwd: folder,
    });
  const [same, half] = await Promise.all([measured("1"), measured("0.5")]);
  assert.equal(half.code, 0, half.stderr);
  assert.notEqual(jsonLines(same.stdout)[0].loss, jsonLines(half.stdout)[0].loss);
  const [foreign, selective] = await Promise.all([
    statewise([...s4d, "--name", "other", "--d-conv", "3"], { cwd: folder }),
    statewise(["eval", "--run", "induction-heads", "--rate", "2"], { cwd }),
  ]);
  assert.equal(foreign.stderr, "train: --model s4d has no --d-conv.\n");
  assert.equal(selective.stderr, "mamba: has no step sizes of its own to change, they follow the input.\n");
});

test("eval speaks to people, too, and knows what the text is too short for", async () => {
  const [right, wrong] = await Promise.all([
    statewise(["eval", "--run", "induction-heads", "--batches", "2", "--batch", "1"], { cwd }),
    statewise(["eval", "--run", "text", "--length", "8", "5000"], { cwd }),
  ]);
  assert.match(right.stdout, /^length 6: loss \S+, accuracy \S+ %, 2 sequences in \S+ s\n$/);
  assert.equal(wrong.code, 1);
  assert.equal(wrong.stdout, "");
  assert.match(wrong.stderr, /^text: a text for sequences of length 5000 must have at least /);
});

test("eval refuses a text that is no longer the one that was learned", async (t) => {
  const folder = temporaryFolder(t);
  cpSync(join(cwd, "runs"), join(folder, "runs"), { recursive: true });
  const path = join(folder, "runs", "text", "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as {
    source: { sha256: string };
  };
  config.source.sha256 = "0".repeat(64);
  writeFileSync(path, JSON.stringify(config));
  const { code, stderr } = await statewise(["eval", "--run", "text"], { cwd: folder });
  assert.equal(code, 1);
  assert.match(stderr, /^eval: .*rhyme\.txt is not what runs\/text learned\. Put it back as it was\.\n$/);
});

test("inspect shows every parameter with its shape, the totals, and the memory that training takes", async () => {
  const { code, stdout } = await statewise(["inspect", "--run", "text"], { cwd });
  assert.equal(code, 0);
  assert.match(stdout, /^runs\/text, made by statewise train text$/m);
  assert.match(stdout, /^embedding +\(4, 256\) +1 024$/m);
  assert.match(stdout, /^layers\.0\.mixer\.logA +\(2, 8\) +16$/m);
  assert.match(stdout, /^weights \S+ KiB in f32; state \d+ B a sequence, however long it is$/m);
  assert.match(stdout, /^training 2 sequences of length 6 on plain takes \S+ KiB = parameters /m);
});

test("inspect --traffic counts what a step and a token move, from the plan alone", async () => {
  const { code, stdout, stderr } = await statewise(["inspect", "--run", "text", "--traffic", "--json"], {
    cwd,
  });
  assert.equal(code, 0, stderr);
  const programs = jsonLines(stdout).filter(({ type }) => type === "traffic");
  assert.equal(programs.length, 2);
  for (const { kernels, bytes, naiveBytes, dispatches } of programs) {
    const rows = kernels as { bytes: number; naiveBytes: number; dispatches: number }[];
    assert.equal(
      rows.reduce((sum, row) => sum + row.bytes, 0),
      bytes,
    );
    assert.equal(
      rows.reduce((sum, row) => sum + row.naiveBytes, 0),
      naiveBytes,
    );
    assert.ok(rows.reduce((sum, row) => sum + row.dispatches, 0) >= Number(dispatches));
    assert.ok(Number(bytes) < Number(naiveBytes));
  }
});

test("inspect opens a checkpoint as a model directory, and its numbers add up", async () => {
  const checkpoints = join("runs", "text", "checkpoints");
  const newest = readdirSync(join(cwd, checkpoints)).find((name) => name.startsWith("step-")) ?? "";
  const { stdout } = await statewise(["inspect", join(checkpoints, newest), "--batch", "3", "--json"], {
    cwd,
  });
  const [model, plan, ...rest] = jsonLines(stdout);
  assert.deepEqual(rest, []);
  const counts = (model.parameters as { count: number }[]).map(({ count }) => count);
  assert.equal(
    counts.reduce((a, b) => a + b, 0),
    model.count,
  );
  const { total, ...parts } = plan.memory as Record<string, number>;
  assert.equal(
    Object.values(parts).reduce((a, b) => a + b, 0),
    total,
  );
  assert.deepEqual([plan.batch, plan.length], [3, 512]);
});

test("a damaged checkpoint is refused by its class of error, without a stack", async (t) => {
  const folder = temporaryFolder(t);
  cpSync(join(cwd, "runs", "text", "checkpoints"), folder, { recursive: true });
  const newest = readdirSync(folder).find((name) => name.startsWith("step-")) ?? "";
  truncateSync(join(folder, newest, "model.safetensors"), 1000);
  const { code, stderr } = await statewise(["inspect", newest], { cwd: folder });
  assert.equal(code, 1);
  assert.match(stderr, /model\.safetensors/);
  assert.doesNotMatch(stderr, /\n +at |internal/);
});

test("devices says what opens, what would be used, and why", async () => {
  const cases = [
    { args: ["--json"], env: { STATEWISE_DEVICE: "" }, reason: /works here$/ },
    {
      args: ["--json"],
      env: { STATEWISE_DEVICE: "plain" },
      reason: /^the environment variable STATEWISE_DEVICE asks for it$/,
    },
    {
      args: ["--json", "--device", "plain"],
      env: { STATEWISE_DEVICE: "wasm" },
      reason: /^--device asks for it$/,
    },
  ];
  await Promise.all(
    cases.map(async ({ args, env, reason }) => {
      const { code, stdout } = await statewise(["devices", ...args], { cwd, env });
      assert.equal(code, 0);
      const [machine, ...lines] = jsonLines(stdout);
      assert.match(String(machine.text), /, \d+ cores?, Node \d/);
      assert.deepEqual(lines.map(({ device }) => device).slice(0, 4), ["native", "wasm", "plain", "webgpu"]);
      const choice = lines[4];
      assert.match(String(choice.reason), reason);
      assert.ok(
        lines.some(({ type, device, opens }) => type === "device" && device === choice.device && opens),
      );
    }),
  );
});

test("devices describes the GPU where it finds one, and says what to do where it does not", async () => {
  const { VK_ICD_FILENAMES, LD_LIBRARY_PATH } = process.env; // of the GPU in software: scripts/test.ts
  const driver = {
    ...(VK_ICD_FILENAMES && { VK_ICD_FILENAMES }),
    ...(LD_LIBRARY_PATH && { LD_LIBRARY_PATH }),
  };
  const webgpu = async (env: Readonly<Record<string, string>>) => {
    const { stdout } = await statewise(["devices", "--json"], { cwd, env });
    return jsonLines(stdout).find(({ device }) => device === "webgpu") ?? {};
  };
  const [found, hidden] = await Promise.all([
    webgpu(driver),
    webgpu({ ...driver, VK_ICD_FILENAMES: join(cwd, "no-driver.json") }),
  ]);
  assert.equal(found.opens, true);
  assert.match(String(found.text), /subgroups/);
  assert.equal(hidden.opens, false);
  assert.match(String(hidden.text), /^no adapter: .* Install the driver/);
});

test("what is piped has no escape codes, whatever colours the environment asks for", async () => {
  const env = { FORCE_COLOR: "3", CI: "true", TERM: "xterm-256color" };
  const calls = [["--help"], ["devices"], ["inspect", "--run", "text"], ["bench"], ["train", "--xyzzy"]];
  const outputs = await Promise.all(calls.map((args) => statewise(args, { cwd, env })));
  for (const { stdout, stderr } of outputs) assert.ok(!(stdout + stderr).includes("\u001b"), stdout + stderr);
});

test("threads that a device does not have are refused, not ignored", async () => {
  const { code, stderr } = await statewise(["inspect", "--run", "text", "--threads", "2"], { cwd });
  assert.deepEqual([code, stderr], [2, "plain: has 1 thread, --threads asks for 2. Leave it out.\n"]);
});
