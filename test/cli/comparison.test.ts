import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ablation } from "../../src/cli/reproduce/ablation.ts";
import { compare, type Comparison, type ContenderResult } from "../../src/cli/reproduce/comparison.ts";
import { selectiveCopyingComparison } from "../../src/cli/reproduce/selectiveCopying.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { mambaConfig } from "../../src/node.ts";
import { metricsOf, temporaryFolder } from "./cli.ts";

const tiny = {
  ...selectiveCopyingComparison.quick,
  memorize: 2,
  dModel: 4,
  layers: 1,
  stages: [
    { batch: 2, length: 4, steps: 20 },
    { batch: 2, length: 6, steps: 21 },
  ],
  checkpointEvery: 10,
  testLength: 6,
  testBatches: 2,
  testBatch: 2,
};
const comparison: Comparison = {
  ...selectiveCopyingComparison,
  quick: tiny,
  paper: { ...tiny, seed: 7 },
  differences: ({ seed }) => [`seed ${seed}`],
};

async function compared(runs: string, changed: Partial<Comparison> = {}, paper = false): Promise<string> {
  let text = "";
  const stream = { write: (part: string) => (text += part) };
  const values = {
    name: "x",
    runs,
    fresh: false,
    device: "plain" as const,
    threads: undefined,
    json: false,
    paper,
  };
  const code = await compare({ ...comparison, ...changed }, values, new Terminal(stream, stream, false));
  assert.equal(code, 0);
  return text;
}

const resultsOf = (runs: string) =>
  JSON.parse(readFileSync(join(runs, "x", "results.json"), "utf8")) as { rows: ContenderResult[] };

test("each model is trained in a run of its own and stands in the table beside the paper's figure", async (t) => {
  const runs = temporaryFolder(t);
  const text = await compared(runs);
  for (const { title, paper } of comparison.contenders) {
    assert.match(text, new RegExp(`^${title} +\\S+ % +\\S+ +${paper} +41 +\\S+ s$`, "m"));
  }
  assert.match(text, /^Not as in the paper:\n {2}seed 1$/m);
  const names = comparison.contenders.map(({ name }) => name);
  assert.deepEqual(
    readdirSync(join(runs, "x")).sort(),
    ["chart.svg", "config.json", "results.json", ...names].sort(),
  );
  const { rows } = resultsOf(runs);
  assert.deepEqual(
    rows.map(({ name, step, sequences }) => [name, step, sequences]),
    names.map((name) => [name, 41, 4]),
  );
  assert.ok(new Set(rows.map(({ parameters }) => parameters)).size === names.length);
  assert.match(readFileSync(join(runs, "x", "chart.svg"), "utf8"), /Mamba block with S6/);
});

test("run again, it trains what is missing and keeps what is there", async (t) => {
  const runs = temporaryFolder(t);
  await compared(runs, { contenders: comparison.contenders.slice(0, 1) });
  const metrics = metricsOf(join(runs, "x", "s6"));
  const text = await compared(runs);
  assert.match(text, /^resuming \S+s6 at step 41$/m);
  assert.match(text, /^training in \S+s4d$/m);
  assert.deepEqual(metricsOf(join(runs, "x", "s6")), metrics);
});

test("other settings do not go on with these", async (t) => {
  const runs = temporaryFolder(t);
  await compared(runs);
  await assert.rejects(compared(runs, {}, true), {
    name: "UsageError",
    message:
      `reproduce: ${join(runs, "x")} was not made with the recipe of today. Choose another --name, ` +
      "or give --fresh to move it aside and begin anew.",
  });
});

test("quick: the paper's tokens, tested at the length that is trained last, and as many steps for every model", () => {
  const { memorize, stages, end, testLength } = selectiveCopyingComparison.quick;
  assert.equal(memorize, 16);
  assert.equal(stages[stages.length - 1].length, testLength);
  assert.ok(stages.every(({ until }) => until === undefined));
  assert.equal(
    stages.reduce((sum, { steps }) => sum + steps, 0),
    end,
  );
});

test("the paper's settings are the paper's, and every contender is a model", () => {
  const { paper } = selectiveCopyingComparison;
  const { vocabulary, memorize, dModel, layers, learningRate, testLength } = paper;
  assert.deepEqual(
    [vocabulary, memorize, dModel, layers, learningRate, testLength],
    [16, 16, 64, 2, 1e-4, 4096],
  );
  assert.deepEqual(paper.stages, [{ batch: 64, length: 4096, steps: 400_000 }]);
  for (const { contenders } of [selectiveCopyingComparison, ablation]) {
    const names = contenders.map(({ name, config }) => {
      mambaConfig({ vocabulary, dModel, layers, ...config(paper) });
      return name;
    });
    assert.equal(new Set(names).size, names.length);
  }
});
