import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertSame, jsonLines, metricsOf, start, statewise, temporaryFolder, tiny } from "./cli.ts";

const task = ["train", "induction-heads", ...tiny];

test("a training leaves config, checkpoint, metrics and chart, and says where and what next", async (t) => {
  const cwd = temporaryFolder(t);
  const { code, stdout, stderr } = await statewise([...task, "--steps", "20", "--evaluate-every", "10"], {
    cwd,
  });
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  const lines = stdout.split("\n");
  assert.equal(lines[0], "training in runs/induction-heads");
  assert.match(stdout, /^model {4}Mamba, 1 layers, D 4, N 2: \d+ parameters$/m);
  assert.match(
    stdout,
    /^memory {3}\S+ KiB = parameters \S+ \+ gradients \S+ \+ optimizer \S+ \+ activations \S+$/m,
  );
  const [plan, first] = [/^memory/m, /^step 1 of 20 {3}loss /m].map((pattern) => stdout.search(pattern));
  assert.ok(plan >= 0 && plan < first, "the memory is said before the first step");
  assert.match(stdout, /^step 10: validation loss \S+, accuracy /m);
  assert.match(stdout, /^step 20 of 20 {3}/m);
  assert.match(stdout, /^next: statewise eval --run runs\/induction-heads$/m);
  const run = join(cwd, "runs", "induction-heads");
  assert.deepEqual(readdirSync(run).sort(), ["chart.svg", "checkpoints", "config.json", "metrics.jsonl"]);
  assert.match(readFileSync(join(run, "chart.svg"), "utf8"), /validation/);
  const types = metricsOf(run).map(({ type, step }) => `${String(type)} ${String(step)}`);
  assert.deepEqual(types.slice(0, 2), ["stage 1", "step 1"]);
  assert.equal(types.filter((type) => type.startsWith("step")).length, 20);
  assert.deepEqual(types.slice(-2), ["step 20", "evaluation 20"]);
});

test("a resumed run equals one that never stopped, bit for bit", async (t) => {
  const cwd = temporaryFolder(t);
  const whole = statewise([...task, "--name", "whole", "--steps", "12", "--evaluate-every", "4"], { cwd });
  await statewise([...task, "--name", "parts", "--steps", "5", "--evaluate-every", "4"], { cwd });
  const { code, stdout } = await statewise(["train", "induction-heads", "--name", "parts", "--steps", "12"], {
    cwd,
  });
  assert.equal(code, 0);
  assert.match(stdout, /^resuming runs\/parts at step 5 of 12$/m);
  await whole;
  assertSame(join(cwd, "runs", "parts"), join(cwd, "runs", "whole"));
});

test("a run that is killed goes on from its last checkpoint as if nothing had happened", async (t) => {
  const cwd = temporaryFolder(t);
  const long = [...task, "--name", "killed", "--steps", "100000", "--checkpoint-every", "3", "--json"];
  const killed = start(long, { cwd });
  await killed.saw('"step":7,');
  killed.kill("SIGKILL");
  assert.equal((await killed.ended).signal, "SIGKILL");
  const metrics = join(cwd, "runs", "killed", "metrics.jsonl");
  const reached = readFileSync(metrics, "utf8").split("\n").length;
  appendFileSync(metrics, '\n{"type":"evaluation","step":99999,"loss":1,"accuracy":1}\n{"type":"st');
  const steps = ["--steps", String(reached + 3)];
  const [resumed, whole] = await Promise.all([
    statewise(["train", "induction-heads", "--name", "killed", ...steps], { cwd }),
    statewise([...task, "--name", "whole", "--checkpoint-every", "3", ...steps], { cwd }),
  ]);
  assert.match(resumed.stdout, /^resuming runs\/killed at step \d+ of /m);
  assert.deepEqual([resumed.code, whole.code], [0, 0], resumed.stderr);
  assertSame(join(cwd, "runs", "killed"), join(cwd, "runs", "whole"));
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} saves, says how to go on, and exits with 130`, async (t) => {
    const cwd = temporaryFolder(t);
    const running = start([...task, "--name", "x", "--steps", "100000", "--checkpoint-every", "100000"], {
      cwd,
    });
    await running.saw("step 1 of");
    running.kill(signal);
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 130);
    assert.equal(
      stderr,
      "Finishing this step, then saving. Ctrl-C again stops at once, at the last checkpoint.\n",
    );
    const step = /^Interrupted after step (\d+) of 100 000; all of it is saved\.$/m.exec(stdout)?.[1];
    assert.match(stdout, /^To go on: statewise train induction-heads --name x$/m);
    assert.ok(existsSync(join(cwd, "runs", "x", "checkpoints", `step-${step?.padStart(8, "0")}`)));
    assert.ok(!existsSync(join(cwd, "runs", "x", "lock")));
    assert.ok(existsSync(join(cwd, "runs", "x", "chart.svg")));
  });
}

test("a reader that goes away ends the training quietly, with all of it saved", async (t) => {
  const cwd = temporaryFolder(t);
  const running = start([...task, "--steps", "100000", "--json"], { cwd });
  await running.saw('"step":3,');
  running.closeOutput();
  const { stderr } = await running.ended;
  assert.equal(stderr, "");
  assert.equal(readdirSync(join(cwd, "runs", "induction-heads", "checkpoints")).length, 2); // and latest.json
});

test("--json writes nothing but JSON lines: the run, its stages, steps and checkpoints, the end", async (t) => {
  const cwd = temporaryFolder(t);
  const { stdout, stderr } = await statewise([...task, "--steps", "3", "--json"], { cwd });
  assert.equal(stderr, "");
  const lines = jsonLines(stdout);
  assert.deepEqual(
    lines.map(({ type }) => type),
    ["run", "stage", "step", "step", "step", "checkpoint", "end"],
  );
  const { directory, resumed, step, device } = lines[0];
  assert.deepEqual(
    { directory, resumed, step, device },
    { directory: "runs/induction-heads", resumed: false, step: 0, device: "plain" },
  );
  assert.equal(typeof (lines[1].memory as { total: unknown }).total, "number");
});

test("two processes cannot train one run at once", async (t) => {
  const cwd = temporaryFolder(t);
  const first = start([...task, "--steps", "100000"], { cwd });
  await first.saw("step 1 of");
  const { code, stderr } = await statewise(task, { cwd });
  assert.equal(code, 2);
  assert.equal(
    stderr,
    `train: runs/induction-heads is in use by process ${first.pid}. Wait for it, choose another --name, ` +
      "or, if no such process runs, remove runs/induction-heads/lock.\n",
  );
  first.kill("SIGINT");
  assert.equal((await first.ended).code, 130);
});

test("other settings than those of the run are refused, and --fresh begins anew beside it", async (t) => {
  const cwd = temporaryFolder(t);
  await statewise([...task, "--steps", "2"], { cwd });
  const before = readFileSync(join(cwd, "runs", "induction-heads", "metrics.jsonl"), "utf8");
  const refused = await statewise([...task, "--d-model", "8"], { cwd });
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^train: runs\/induction-heads was trained with --d-model 4, not 8\. /);
  assert.equal(readFileSync(join(cwd, "runs", "induction-heads", "metrics.jsonl"), "utf8"), before);

  const finished = await statewise(task, { cwd });
  assert.equal(finished.code, 0);
  assert.match(
    finished.stdout,
    /^runs\/induction-heads is finished, at step 2: .* Give more --steps to go on\.$/m,
  );

  const fresh = await statewise([...task, "--d-model", "8", "--steps", "1", "--fresh"], { cwd });
  assert.equal(fresh.code, 0);
  assert.match(fresh.stdout, /^The run that was there is now runs\/induction-heads\.1\.$/m);
  assert.equal(readFileSync(join(cwd, "runs", "induction-heads.1", "metrics.jsonl"), "utf8"), before);
});

test("a training that diverges says so, keeps its checkpoint, and exits with 1", async (t) => {
  const cwd = temporaryFolder(t);
  const wild = ["--learning-rate", "1e30", "--clip", "Infinity", "--checkpoint-every", "1", "--steps", "50"];
  const { code, stderr } = await statewise([...task, ...wild], { cwd });
  assert.equal(code, 1);
  const step = /^train: step (\d+) diverged: .*/.exec(stderr)?.[1];
  assert.match(
    stderr,
    new RegExp(`The checkpoint of step ${Number(step) - 1} is kept in runs/induction-heads\\.\n$`),
  );
});

test("a text file that is missing, empty, too short or a directory is refused, and leaves no run", async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, "empty.txt"), "");
  writeFileSync(join(cwd, "short.txt"), "To be, or not to be");
  const answers: Readonly<Record<string, string>> = {
    "missing.txt": "train: there is no file missing.txt. Check --file.\n",
    ".": "train: --file must be a file, got the directory ..\n",
    "empty.txt": "train: empty.txt is empty. Give a text to learn from.\n",
    "short.txt":
      "text: a text for sequences of length 256 must have at least 2570 bytes, 0.1 of them for validation, got 19. " +
      "Use a longer text or a shorter length.\n",
  };
  for (const [file, stderr] of Object.entries(answers)) {
    assert.deepEqual(await statewise(["train", "text", "--file", file], { cwd }), {
      code: 1,
      signal: null,
      stdout: "",
      stderr,
    });
  }
  const { code, stderr } = await statewise(["train", "text"], { cwd });
  assert.deepEqual(
    { code, stderr },
    { code: 2, stderr: "train: --file is missing: which text should be learned?\n" },
  );
  assert.deepEqual(readdirSync(join(cwd, "runs")), []);
});
