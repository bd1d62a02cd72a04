import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Decoder } from "../../src/generate/decoder.ts";
import { createLanguageModel, languageConfig } from "../../src/models/catalog.ts";
import type { LanguageModel } from "../../src/models/languageModel.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { assertSame } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const vocabulary = 11;
const sizes = { vocabulary, dModel: 24, layers: 2, heads: 4, kvHeads: 2, context: 160 };
const config = languageConfig("transformer", sizes);
const ids = (count: number) => Int32Array.from({ length: count }, (_, i) => (i * 7 + (i >> 2)) % vocabulary);
const read = ({ device }: LanguageModel, tokens: ArrayLike<number>, batch = 1) =>
  device.integers(tokens, [batch, tokens.length / batch]);

for (const device of devices) {
  const model = createLanguageModel(device, config, 3);

  test(`${device.name}: a sequence whole, in pieces and token by token is the same`, async () => {
    const length = 140; // more than a task and two blocks of keys
    const tokens = ids(length);
    const whole = await model.forward(read(model, tokens)).logits.read();
    for (const cuts of [
      [0, length],
      [0, 1, 70, 129, 130, length],
      Array.from({ length: length + 1 }, (_, i) => i),
    ]) {
      let state = model.initialState(1);
      for (const [i, start] of cuts.slice(0, -1).entries()) {
        const piece = model.forward(read(model, tokens.subarray(start, cuts[i + 1])), { state });
        const rows = whole.slice(start * vocabulary, cuts[i + 1] * vocabulary);
        assertSame(device, await piece.logits.read(), rows, `from ${start} of ${cuts.length - 1} pieces`);
        ({ state } = piece);
      }
    }
    let state = model.initialState(1);
    for (let t = 0; t < 10; t++) {
      const step = model.step(device.integers([tokens[t]]), state);
      assertSame(device, await step.logits.read(), whole.slice(t * vocabulary, (t + 1) * vocabulary));
      ({ state } = step);
    }
  });

  test(`${device.name}: a captured decoder gives the same, prompt and tokens`, async () => {
    const tokens = ids(140);
    const whole = await model.forward(read(model, tokens)).logits.read();
    const row = (t: number) => whole.slice(t * vocabulary, (t + 1) * vocabulary);
    const decoder = new Decoder(model);
    for (let round = 0; round < 2; round++) {
      assertSame(device, await decoder.prefill(tokens.subarray(0, 135)), row(134));
      for (let t = 135; t < 140; t++) assertSame(device, await decoder.step(tokens[t]), row(t));
      decoder.restart();
    }
    decoder.free();
  });

  test(`${device.name}: a sequence has the same bits alone and in a batch`, async () => {
    const tokens = ids(5 * 12);
    const batch = await model.forward(read(model, tokens, 5)).logits.read();
    for (let b = 0; b < 5; b++) {
      const alone = await model.forward(read(model, tokens.slice(b * 12, (b + 1) * 12))).logits.read();
      assert.deepEqual(alone, batch.slice(b * 12 * vocabulary, (b + 1) * 12 * vocabulary));
    }
  });
}

test("a state is a value: two sequences that go on from it do not disturb each other", async () => {
  for (const device of devices) {
    const model = createLanguageModel(device, config, 3);
    const start = model.forward(read(model, ids(6)), { state: model.initialState(1) }).state;
    const left = model.step(device.integers([1]), start);
    const right = model.step(device.integers([2]), start);
    const again = model.step(device.integers([1]), start);
    assert.deepEqual(await again.logits.read(), await left.logits.read(), device.name);
    for (const [branch, token] of [
      [left, 1],
      [right, 2],
    ] as const) {
      const next = await model.step(device.integers([5]), branch.state).logits.read();
      const alone = await model.forward(read(model, [...ids(6), token, 5])).logits.read();
      assert.deepEqual(next, alone.slice(-vocabulary), device.name);
    }
  }
});

test("the gradient of a whole model agrees with central differences in float64", async () => {
  const device = exactDevice();
  const model = createLanguageModel(
    device,
    languageConfig("transformer", {
      vocabulary: 5,
      dModel: 8,
      layers: 2,
      heads: 2,
      kvHeads: 1,
      feedForward: 6,
    }),
    1,
  );
  const tokens = device.integers([0, 3, 1, 4, 2, 2], [2, 3]);
  const weights = device.tensor(
    Float64Array.from({ length: 30 }, (_, i) => Math.cos(i)),
    [2, 3, 5],
  );
  const loss = () => sum(mul(model.forward(tokens).logits, weights));
  const { gradients: grads } = gradients([...model.parameters.values()], loss);
  for (const [name, parameter] of model.parameters) {
    const values = (await parameter.read()) as Float64Array;
    const grad = await grads.get(parameter)!.read(); // every parameter leads to the logits
    for (let i = 0; i < values.length; i += 5) {
      const at = async (value: number) => {
        parameter.write(values.with(i, value));
        return await loss().item();
      };
      const eps = 1e-6; // small embeddings are normed: their third derivatives are large
      const slope = ((await at(values[i] + eps)) - (await at(values[i] - eps))) / (2 * eps);
      assert.ok(Math.abs(slope - grad[i]) < 1e-7 * Math.max(1, Math.abs(slope)), `${name}[${i}]`);
    }
    parameter.write(values);
  }
});

test("what follows from the width: heads of 64 channels, a hidden layer of 8/3", () => {
  const given = languageConfig("transformer", { vocabulary: 2, dModel: 512, layers: 1 });
  const { heads, kvHeads, feedForward } = given as unknown as Record<string, number>;
  assert.deepEqual([heads, kvHeads, feedForward], [8, 8, 1376]);
});

test("what makes no Transformer, and what one cannot do, is said", async () => {
  const refuses = (given: object, message: string) =>
    assert.throws(() => languageConfig("transformer", { ...sizes, ...given }), {
      name: "UsageError",
      message: `transformer: ${message}`,
    });
  refuses({ heads: 5, kvHeads: 5 }, "dModel must be an even number for each of 5 heads, got 24.");
  refuses({ kvHeads: 3 }, "heads must be a multiple of kvHeads, got 4 and 3.");

  const device = exactDevice();
  const model = createLanguageModel(device, languageConfig("transformer", { ...sizes, context: 4 }), 0);
  const state = model.initialState(1);
  const tokens = read(model, ids(5));
  const throws = (call: () => unknown, message: string) =>
    assert.throws(call, { name: "UsageError", message: `transformer: ${message}` });
  throws(() => model.forward(tokens, { state }), "the state has room for 4 tokens, got 5. Raise context.");
  throws(
    () => model.forward(tokens, { resets: tokens }),
    "resets are not supported. Give each document a row of its own.",
  );
  const weights = [...model.parameters.values()];
  throws(
    () => gradients(weights, () => model.forward(read(model, [1]), { state }).logits),
    "no gradient goes through a state. Train on whole sequences.",
  );
  const full = model.forward(read(model, ids(4)), { state });
  const beyond = await model.step(device.integers([1]), full.state).logits.read();
  assert.ok(beyond.every(Number.isNaN), "the context is full");
});
