import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Experiment, runExperiment } from "../../src/cli/reproduce/experiment.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { temporaryFolder } from "./cli.ts";

const squares: Experiment<{ numbers: readonly number[]; seed: number }> = {
  name: "squares",
  quick: { numbers: [1, 2], seed: 0 },
  paper: { numbers: [1, 2, 3], seed: 0 },
  differences: ({ numbers }) => [`${numbers.length} numbers instead of all`],
  parts: [
    {
      title: "Squares",
      heads: ["number", "square", "paper"],
      async run({ settings, row }) {
        const points: [number, number][] = [];
        for (const n of settings.numbers) {
          await row([String(n), String(n * n), "n²"], { n, square: n * n });
          points.push([n, n * n]);
        }
        const axis = { label: "n", log: true };
        return [{ x: axis, y: { label: "n²", log: true }, lines: [{ name: "square", points }] }];
      },
    },
  ],
};

async function run(runs: string, paper = false, json = false, experiment = squares): Promise<string> {
  let text = "";
  const stream = { write: (part: string) => (text += part) };
  const values = { name: "x", runs, fresh: false, device: "plain" as const, threads: undefined, json, paper };
  assert.equal(await runExperiment(experiment, values, new Terminal(stream, stream, json)), 0);
  return text;
}

const read = (runs: string, file: string) => readFileSync(join(runs, "x", file), "utf8");

test("an experiment prints its table, says what differs, and leaves settings, results and a chart", async (t) => {
  const runs = temporaryFolder(t);
  const text = await run(runs);
  assert.match(text, /^settings quick: numbers 1, 2, seed 0$/m);
  assert.match(text, /^number +square +paper$/m);
  assert.match(text, /^2 +4 +n²$/m);
  assert.match(text, /^ {2}2 numbers instead of all$/m);
  assert.deepEqual(readdirSync(join(runs, "x")).sort(), ["chart.svg", "config.json", "results.json"]);
  assert.deepEqual(JSON.parse(read(runs, "config.json")), {
    command: "reproduce squares",
    settings: { numbers: [1, 2], seed: 0, paper: false },
  });
  assert.deepEqual(JSON.parse(read(runs, "results.json")), {
    device: "plain",
    settings: { numbers: [1, 2], seed: 0 },
    parts: {
      Squares: [
        { n: 1, square: 1 },
        { n: 2, square: 4 },
      ],
    },
  });
  for (const words of ["reproduce squares", ">square<", "n²"])
    assert.ok(read(runs, "chart.svg").includes(words));
});

test("--paper takes the paper's settings and replaces what the quick ones left; --json speaks to programs", async (t) => {
  const runs = temporaryFolder(t);
  await run(runs);
  const lines = (await run(runs, true, true)).trim().split("\n");
  assert.deepEqual(JSON.parse(lines[2]), { type: "row", part: "Squares", n: 3, square: 9 });
  assert.equal(JSON.parse(read(runs, "results.json")).parts.Squares.length, 3);
});

test("after an interruption what was measured is not measured again, infinities too", async (t) => {
  const runs = temporaryFolder(t);
  const measured: number[] = [];
  let last = 1;
  const experiment: typeof squares = {
    ...squares,
    quick: { numbers: [Infinity], seed: 0 },
    parts: [
      {
        ...squares.parts[0],
        async run({ once, row }) {
          for (const n of [0, 1, 2].slice(0, last + 1)) {
            const inverse = await once(`1/${n}`, async () => {
              measured.push(n);
              return { value: 1 / n, none: null };
            });
            await row([String(n), String(inverse.value), ""], inverse);
          }
          if (last < 2) throw new Error("interrupted");
          return [];
        },
      },
    ],
  };
  await assert.rejects(run(runs, false, false, experiment), /interrupted/);
  last = 2;
  const text = await run(runs, false, false, experiment);
  assert.match(text, /^going on: 2 measurements of an interrupted run$/m);
  assert.match(text, /^0 +Infinity *$/m);
  assert.deepEqual(measured, [0, 1, 2]);
  await run(runs, false, false, experiment);
  assert.deepEqual(measured, [0, 1, 2, 0, 1, 2], "a run that was finished is done anew");
});

test("a run of another command is not overwritten", async (t) => {
  const runs = temporaryFolder(t);
  mkdirSync(join(runs, "x"));
  writeFileSync(join(runs, "x", "config.json"), JSON.stringify({ command: "train text", settings: {} }));
  await assert.rejects(run(runs), {
    name: "UsageError",
    message: `reproduce: ${join(runs, "x")} is a run of train text. Choose another --name.`,
  });
});
