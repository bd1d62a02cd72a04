import assert from "node:assert/strict";
import { after, test } from "node:test";

import { LanguageModel } from "../../src/models/languageModel.ts";
import { createMamba, mamba, mambaConfig } from "../../src/models/mamba.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { sum } from "../../src/ops/reduce.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { assertSame } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const sizes = mambaConfig({ vocabulary: 11, dModel: 20, layers: 2, dState: 5, dConv: 4 });
const ids = (count: number, offset = 0) =>
  Int32Array.from({ length: count }, (_, i) => (i * 7 + offset + (i >> 2)) % sizes.vocabulary);

for (const device of devices) {
  const model = createMamba(device, sizes, 3);

  test(`${device.name}: a sequence cut anywhere gives what the whole does, outputs and state`, async () => {
    const length = 23;
    const tokens = ids(2 * length);
    const whole = model.forward(device.integers(tokens, [2, length]));
    const expected = await whole.logits.read();
    for (const cuts of [
      [1, 22],
      [3, 1, 19],
      [16, 7],
      [22, 1],
    ]) {
      let state = model.initialState(2);
      let start = 0;
      for (const size of cuts) {
        const part = [0, 1].flatMap((b) =>
          Array.from(tokens.subarray(b * length + start, b * length + start + size)),
        );
        const piece = model.forward(device.integers(part, [2, size]), { state });
        const got = await piece.logits.read();
        for (let b = 0; b < 2; b++) {
          const from = (b * length + start) * sizes.vocabulary;
          const width = size * sizes.vocabulary;
          assertSame(device, got.slice(b * width, (b + 1) * width), expected.slice(from, from + width));
        }
        ({ state } = piece);
        start += size;
      }
      await assertSameState(state, whole.state ?? []);
    }
  });

  test(`${device.name}: step by step gives what forward does, outputs and state`, async () => {
    const length = 9;
    const tokens = ids(length);
    const whole = model.forward(device.integers(tokens, [1, length]));
    const expected = await whole.logits.read();
    let state = model.initialState(1);
    for (let t = 0; t < length; t++) {
      const step = model.step(device.integers([tokens[t]]), state);
      const row = expected.slice(t * sizes.vocabulary, (t + 1) * sizes.vocabulary);
      assertSame(device, await step.logits.read(), row);
      ({ state } = step);
    }
    await assertSameState(state, whole.state ?? []);
  });

  test(`${device.name}: a sequence has the same bits alone and in any batch`, async () => {
    const length = 12;
    const tokens = ids(5 * length);
    const batch = await model.forward(device.integers(tokens, [5, length])).logits.read();
    for (let b = 0; b < 5; b++) {
      const own = tokens.slice(b * length, (b + 1) * length);
      const alone = await model.forward(device.integers(own, [1, length])).logits.read();
      const width = length * sizes.vocabulary;
      assert.deepEqual(alone, batch.slice(b * width, (b + 1) * width));
    }
  });

  test(`${device.name}: documents packed with resets are what they are alone`, async () => {
    const lengths = [4, 1, 9];
    const total = 14;
    const tokens = ids(total, 4);
    const resets = new Int32Array(total);
    for (const start of [0, 4, 5]) resets[start] = 1;
    const packed = await model
      .forward(device.integers(tokens, [1, total]), { resets: device.integers(resets, [1, total]) })
      .logits.read();
    let start = 0;
    for (const length of lengths) {
      const own = tokens.slice(start, start + length);
      const alone = await model.forward(device.integers(own, [1, length])).logits.read();
      const from = start * sizes.vocabulary;
      assertSame(device, alone, packed.slice(from, from + length * sizes.vocabulary));
      start += length;
    }
  });

  test(`${device.name}: lastOnly gives the last row of all logits`, async () => {
    const tokens = device.integers(ids(10), [1, 10]);
    const all = await model.forward(tokens).logits.read();
    const last = await model.forward(tokens, { lastOnly: true }).logits.read();
    assertSame(device, last, all.slice(-sizes.vocabulary));
  });
}

test("the gradient of a whole model agrees with central differences in float64", async () => {
  const device = exactDevice();
  const config = mambaConfig({ vocabulary: 5, dModel: 6, layers: 2, dState: 3, bias: true });
  const model = createMamba(device, config, 1);
  const tokens = device.integers([0, 3, 1, 4, 2, 2], [2, 3]);
  const weights = device.tensor(
    Float64Array.from({ length: 30 }, (_, i) => Math.cos(i)),
    [2, 3, 5],
  );
  const loss = () => sum(mul(model.forward(tokens).logits, weights));
  const parameters = [...model.parameters.values()];
  const { gradients: grads } = gradients(parameters, loss);
  for (const [name, parameter] of model.parameters) {
    const values = (await parameter.read()) as Float64Array;
    const grad = await grads.get(parameter)!.read(); // every parameter leads to the logits
    for (let i = 0; i < values.length; i += 5) {
      const at = async (value: number) => {
        parameter.write(values.with(i, value));
        return await loss().item();
      };
      const eps = 1e-5;
      const slope = ((await at(values[i] + eps)) - (await at(values[i] - eps))) / (2 * eps);
      assert.ok(Math.abs(slope - grad[i]) < 1e-7 * Math.max(1, Math.abs(slope)), `${name}[${i}]`);
    }
    parameter.write(values);
  }
});

test("the published 130m has 129 135 360 parameters", () => {
  const [device] = devices;
  const config = mambaConfig({ vocabulary: 50280, dModel: 768, layers: 24 });
  const model = mamba(config, (_, shape) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return new Tensor(device, shape, { dtype: "f32", length }); // sizes are all that is asked of it
  });
  assert.ok(model instanceof LanguageModel);
  assert.equal(model.parameterCount(), 129_135_360);
});

test("the same seed gives the same parameters, another seed others", async () => {
  const [device] = devices;
  const read = async (seed: number) =>
    (await createMamba(device, sizes, seed).parameters.get("norm")!.read()).at(0);
  const embedding = async (seed: number) =>
    createMamba(device, sizes, seed).parameters.get("embedding")!.read();
  assert.equal(await read(1), 1);
  assert.deepEqual(await embedding(7), await embedding(7));
  assert.notDeepEqual(await embedding(7), await embedding(8));
});

test("fresh parameters follow the paper: A from 1 to N, Δ from 0.001 to 0.1, D one", async () => {
  const [device] = devices;
  const { parameters } = createMamba(device, sizes, 5);
  const logA = await parameters.get("layers.1.mixer.logA")!.read();
  const dInner = sizes.expand * sizes.dModel;
  for (let n = 0; n < sizes.dState; n++) assert.equal(logA[n * dInner], Math.fround(Math.log(n + 1)));
  for (const bias of await parameters.get("layers.0.mixer.deltaBias")!.read()) {
    const delta = Math.log1p(Math.exp(bias));
    assert.ok(delta > 0.001 * (1 - 1e-4) && delta < 0.1 * (1 + 1e-4), `Δ is ${delta}`);
  }
  assert.ok((await parameters.get("layers.0.mixer.D")!.read()).every((value) => value === 1));
});

test("the step sizes begin in the range that the config gives", async () => {
  const [device] = devices;
  const { parameters } = createMamba(device, { ...sizes, deltaMin: 1e-7, deltaMax: 1e-6 }, 5);
  for (const bias of await parameters.get("layers.0.mixer.deltaBias")!.read()) {
    const delta = Math.log1p(Math.exp(bias));
    assert.ok(delta > 1e-7 * (1 - 1e-4) && delta < 1e-6 * (1 + 1e-4), `Δ is ${delta}`);
  }
  assert.throws(() => mambaConfig({ ...sizes, deltaMin: 0 }), {
    name: "UsageError",
    message: "mamba: deltaMin must be above 0 and at most deltaMax, got 0 and 0.1.",
  });
});

test("a size that makes no model is named", () => {
  assert.throws(() => mambaConfig({ vocabulary: 16, dModel: 0, layers: 2 }), {
    name: "UsageError",
    message: "mamba: dModel must be a whole number of at least 1, got 0.",
  });
});

async function assertSameState(
  got: readonly Readonly<Record<string, Tensor>>[],
  expected: readonly Readonly<Record<string, Tensor>>[],
): Promise<void> {
  for (const [i, layer] of expected.entries()) {
    for (const [name, tensor] of Object.entries(layer)) {
      assertSame(tensor.device, await got[i][name].read(), await tensor.read(), `${name} of layer ${i}`);
    }
  }
}
