import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type ExperimentResults, runExperiment } from "../../src/cli/reproduce/experiment.ts";
import { crossing, modelOf, paperForward, scaling } from "../../src/cli/reproduce/scaling.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { plainDevice } from "../../src/node.ts";
import { temporaryFolder } from "./cli.ts";

const tiny = { dModel: 12, layers: 1, vocabulary: 5, lengths: [4, 8], seed: 0 };

test("every length has its row of times and bytes, and every model its crossing points", async (t) => {
  const runs = temporaryFolder(t);
  let text = "";
  const stream = { write: (part: string) => (text += part) };
  const values = { name: "x", runs, fresh: false, device: "plain" as const, threads: undefined };
  const terminal = new Terminal(stream, stream, false);
  const experiment = { ...scaling(), quick: tiny };
  assert.equal(await runExperiment(experiment, { ...values, json: false, paper: false }, terminal), 0);
  const results = JSON.parse(readFileSync(join(runs, "x", "results.json"), "utf8")) as ExperimentResults;
  const [forward, memory, token, crossings] = Object.values(results.parts) as Record<
    string,
    { ms: number; bytes: number }
  >[][];
  assert.deepEqual([forward.length, memory.length, token.length, crossings.length], [2, 2, 2, 2]);
  for (const row of [...forward, ...token]) {
    for (const name of ["Transformer", "Mamba", "S4"]) assert.ok(row[name].ms > 0 && row[name].bytes > 0);
  }
  const [four, eight] = token;
  assert.equal(
    eight.Transformer.bytes - four.Transformer.bytes,
    4 * 2 * 12 * 4,
    "keys and values of 4 more tokens",
  );
  assert.equal(eight.Mamba.bytes, four.Mamba.bytes);
  assert.match(text, /^model +forward, time +forward, memory +token, time +token, state$/m);
  assert.match(text, /^Not as in the paper:$/m);
});

test("each model reads the sequences that it is made for whole", () => {
  const context = 1100; // more than the 1024 that an S4 convolves unless it is told
  const device = plainDevice();
  for (const name of ["Transformer", "Mamba", "S4"] as const) {
    const model = modelOf(device, name, { ...tiny, dModel: 4 }, context);
    const { logits } = model.forward(device.integers(new Int32Array(context), [1, context]));
    assert.deepEqual(logits.shape, [1, context, 5]);
  }
});

test("the models have about as many parameters", () => {
  const device = plainDevice();
  const settings = { ...scaling().quick, dModel: 128 };
  const counts = (["Transformer", "Mamba", "S4"] as const).map((name) =>
    modelOf(device, name, settings, 1).parameterCount(),
  );
  for (const parameters of counts) {
    assert.ok(Math.abs(parameters / counts[0] - 1) < 0.25, `${counts.join(", ")} parameters`);
  }
});

test("curves cross where their ratio comes below 1 for good", () => {
  const at = (...ratios: number[]) => crossing(ratios.map((ratio, i) => [128 * 2 ** i, ratio]));
  assert.equal(at(2, 1.5, 1.2), null);
  assert.equal(at(0.9, 0.8, 0.7), 128);
  assert.equal(at(2, 0.5, 0.1), Math.round(128 * Math.SQRT2));
  assert.equal(at(0.9, 4, 0.25), Math.round(256 * Math.SQRT2), "the last time");
});

test("the paper has numbers for 1024 and 4096", () => {
  assert.deepEqual(paperForward[1024], { speed: 1.58, memory: 0.43 });
  assert.deepEqual(paperForward[4096], { speed: 5.19, memory: 0.091 });
});
