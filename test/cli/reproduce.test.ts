import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { reproduce } from "../../src/cli/commands/reproduce.ts";
import type { Results } from "../../src/cli/reproduce/evaluation.ts";
import { evaluationOf, paperRow, type Recipe, recipe } from "../../src/cli/reproduce/inductionHeads.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { metricsOf, temporaryFolder } from "./cli.ts";

const tiny: Recipe = {
  training: {
    ...recipe.training,
    dModel: 4,
    layers: 1,
    stages: [
      { batch: 2, length: 4, steps: 4 },
      { batch: 2, length: 8, steps: 50, until: { accuracy: 0, over: 3 } },
    ],
    checkpointEvery: 2,
  },
  evaluation: { lengths: [64, 128], tokens: 256, fewestSequences: 1, mostSequences: 8 },
};

async function reproduced(runs: string, changed: Partial<Recipe> = {}): Promise<string> {
  let text = "";
  const stream = { write: (part: string) => (text += part) };
  const values = { name: "x", runs, fresh: false, device: "plain" as const, threads: undefined, json: false };
  const code = await reproduce({ ...tiny, ...changed }, values, new Terminal(stream, stream, false));
  assert.equal(code, 0);
  return text;
}

const resultsOf = (runs: string) =>
  JSON.parse(readFileSync(join(runs, "x", "results.json"), "utf8")) as Results;

test("it trains as the recipe says, evaluates at every length, and puts the paper beside it", async (t) => {
  const runs = temporaryFolder(t);
  const text = await reproduced(runs);
  assert.match(text, /^stage 1 of 2: 2 sequences of length 4, 4 steps$/m);
  assert.match(text, /^stage 2 of 2: 2 sequences of length 8, until 0 % right, at most 50 steps$/m);
  assert.match(text, /^2⁶ = 64 +\S+ % +100 % +4 in \S+ s$/m);
  assert.match(text, /^2⁷ = 128 +\S+ % +100 % +2 in \S+ s$/m);
  assert.match(text, /^7 steps on 80 tokens took \S+ s, the evaluation \S+ s: \S+ s in all\.$/m);
  assert.match(text, /^Not as in the paper:$/m);
  assert.match(text, /^ {2}learning rate: 0\.004.* \(paper: 0\.001\); \S/m);
  assert.deepEqual(readdirSync(join(runs, "x")).sort(), [
    "chart.svg",
    "checkpoints",
    "config.json",
    "metrics.jsonl",
    "results.json",
  ]);
  const { step, training, rows } = resultsOf(runs);
  assert.deepEqual([step, training.tokens], [7, 80]);
  assert.deepEqual(
    rows.map(({ length, sequences }) => [length, sequences]),
    [
      [64, 4],
      [128, 2],
    ],
  );
});

test("run again, it does only what is missing", async (t) => {
  const runs = temporaryFolder(t);
  await reproduced(runs, { evaluation: { ...tiny.evaluation, lengths: [64] } });
  const [first] = resultsOf(runs).rows;
  const metrics = metricsOf(join(runs, "x"));
  const text = await reproduced(runs);
  assert.match(text, /^resuming /);
  assert.doesNotMatch(text, /^stage|^step/m);
  assert.deepEqual(metricsOf(join(runs, "x")), metrics);
  assert.deepEqual(resultsOf(runs).rows[0], first, "the row that was there, with the time it took then");
  assert.equal(resultsOf(runs).rows.length, 2);
});

test("a run of another recipe is not trained over", async (t) => {
  const runs = temporaryFolder(t);
  await reproduced(runs);
  rmSync(join(runs, "x", "results.json"));
  await assert.rejects(reproduced(runs, { training: { ...tiny.training, seed: 1 } }), {
    name: "UsageError",
    message:
      `reproduce: ${join(runs, "x")} was not made with the recipe of today. Choose another --name, ` +
      "or give --fresh to move it aside and begin anew.",
  });
});

test("the recipe tests at 2⁶ to 2²⁰, where the paper has numbers", () => {
  const { lengths } = recipe.evaluation;
  assert.deepEqual([lengths[0], lengths.at(-1), lengths.length], [64, 1_048_576, 15]);
  for (const length of lengths) {
    const { batch, batches } = evaluationOf(recipe.evaluation, length);
    const sequences = batch * batches;
    assert.ok(sequences >= 4 && sequences <= 256, `${sequences} sequences`);
  }
  assert.deepEqual(paperRow(2 ** 10).attention, "");
  assert.deepEqual(paperRow(2 ** 11).attention, "below 30 %");
  assert.deepEqual(paperRow(2 ** 16).attention, "cannot run");
});
