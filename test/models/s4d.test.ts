import assert from "node:assert/strict";
import { test } from "node:test";

import {
  createLanguageModel,
  createSequenceModel,
  languageConfig,
  sequenceConfig,
} from "../../src/models/catalog.ts";
import { configOf } from "../../src/models/config.ts";
import { scaleStepSizes } from "../../src/models/samplingRate.ts";
import { randomParameters } from "../../src/models/layers.ts";
import { S4D, s4dFields } from "../../src/models/s4d.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { exactDevice } from "../gradcheck.ts";

const device = exactDevice();
const channels = 3;
const create = (given: object, seed = 1) =>
  new S4D(configOf("s4d", s4dFields, { dState: 8, ...given }), channels, randomParameters(device, seed));
const wave = (batch: number, length: number, frequency = 0.3) =>
  Float64Array.from({ length: batch * length * channels }, (_, i) =>
    Math.sin(frequency * (1 + (i % channels)) * Math.floor(i / channels)),
  );
const signal = (values: Float64Array, length: number) =>
  device.tensor(values, [values.length / length / channels, length, channels]);

test("fresh models have the A of the paper: decay ½, and the frequencies of their initialization", async () => {
  const imaginary = {
    lin: [0, Math.PI, 2 * Math.PI, 3 * Math.PI],
    inv: [0, 1, 2, 3].map((n) => (8 / Math.PI) * (8 / (2 * n + 1) - 1)),
  };
  for (const [initialization, expected] of Object.entries(imaginary)) {
    const { logAReal, AImag } = create({ initialization }).parameters;
    assert.ok((await logAReal.read()).every((value) => Math.abs(value - Math.log(0.5)) < 1e-6));
    for (const [i, value] of (await AImag.read()).entries())
      assert.ok(Math.abs(value - expected[i % 4]) < 1e-5);
  }
  const { logAReal, AImag } = create({ initialization: "real" }).parameters;
  assert.equal(AImag, undefined);
  for (const [i, value] of (await logAReal.read()).entries()) {
    assert.ok(Math.abs(Math.exp(value) - ((i % 8) + 1)) < 1e-5);
  }
  const legs = create({ initialization: "legs" }).parameters;
  assert.ok((await legs.logAReal.read()).every((value) => Math.abs(value - Math.log(0.5)) < 1e-6));
  assert.ok(
    (await legs.AImag.read()).every((value) => value > 0),
    "no frequency of LegS is 0",
  );
});

test("a bidirectional layer is a causal one and one that reads backwards from the next position", async () => {
  const length = 11;
  const both = create({ bidirectional: true });
  const { CFuture, D } = both.parameters;
  const values = wave(1, length);
  const reversed = Float64Array.from(values, (_, i) => {
    const t = Math.floor(i / channels);
    return values[(length - 1 - t) * channels + (i % channels)];
  });
  const got = await both.forward(signal(values, length)).y.read();

  const past = create({});
  past.parameters.C.write(await both.parameters.C.read());
  past.parameters.D.write(await D.read());
  const future = create({});
  future.parameters.C.write(await CFuture.read());
  future.parameters.D.write(new Float64Array(channels));
  const fromPast = await past.forward(signal(values, length)).y.read();
  const fromFuture = await future.forward(signal(reversed, length)).y.read();
  for (let t = 0; t < length; t++) {
    for (let c = 0; c < channels; c++) {
      const ahead = t + 1 < length ? fromFuture[(length - 2 - t) * channels + c] : 0;
      const expected = fromPast[t * channels + c] + ahead;
      assert.ok(Math.abs(got[t * channels + c] - expected) < 1e-9, `position ${t}`);
    }
  }
});

test("what a layer cannot do is refused: resets, states of both directions, half a state", () => {
  const u = signal(wave(1, 4), 4);
  assert.throws(() => create({}).forward(u, undefined, device.integers([0, 1, 0, 0], [1, 4])), {
    name: "UsageError",
    message: "s4d: does not forget where a document begins. Give each its own sequence.",
  });
  const both = create({ bidirectional: true });
  assert.throws(() => both.forward(u, both.initialState(1)), {
    message: "s4d: a bidirectional layer needs the whole sequence, it has no state.",
  });
  const sizes = { dModel: 4, layers: 1, vocabulary: 3 };
  assert.throws(() => languageConfig("s4d", { ...sizes, bidirectional: true }), {
    message: "s4d: a language model cannot be bidirectional, it would see what it has to say.",
  });
  assert.throws(() => languageConfig("s4d", { ...sizes, dState: 7 }), {
    message: "s4d: dState must be even, half of the states conjugates of others, got 7.",
  });
  assert.equal(languageConfig("s4d", { ...sizes, dState: 7, initialization: "real" }).model, "s4d");
});

test("a model with its step sizes doubled reads every second sample as it read all", async () => {
  const config = sequenceConfig("s4d", { dModel: 4, layers: 2, dState: 8, inputs: channels, outputs: 2 });
  const model = createSequenceModel(device, config, 3);
  const length = 256;
  const slow = wave(1, length, 0.005);
  const every = signal(slow, length);
  const halves = Float64Array.from({ length: slow.length / 2 }, (_, i) => {
    const t = Math.floor(i / channels);
    return slow[(2 * t + 1) * channels + (i % channels)];
  });
  const expected = await model.forward(every).y.read();
  const unchanged = await model.forward(signal(halves, length / 2)).y.read();
  await scaleStepSizes(model, 2);
  const doubled = await model.forward(signal(halves, length / 2)).y.read();
  const off = (got: ArrayLike<number>) => Math.hypot(got[0] - expected[0], got[1] - expected[1]);
  assert.ok(off(doubled) < 0.02 * Math.hypot(expected[0], expected[1]), `off by ${off(doubled)}`);
  assert.ok(off(doubled) < off(unchanged) / 5, `${off(doubled)} against ${off(unchanged)}`);
});

test("a model whose step sizes follow the input has none to change", async () => {
  const config = languageConfig("mamba", { dModel: 4, layers: 1, vocabulary: 3 });
  await assert.rejects(scaleStepSizes(createLanguageModel(device, config), 2), {
    name: "UsageError",
    message: "mamba: has no step sizes of its own to change, they follow the input.",
  });
});

test("A and Δ are trained at 0.001 at most and do not decay, the rest as asked", async () => {
  const config = languageConfig("s4d", { dModel: 4, layers: 1, vocabulary: 3, dState: 4 });
  const model = createLanguageModel(device, config, 1);
  const before = new Map<string, Float64Array>();
  for (const [name, tensor] of model.parameters) before.set(name, Float64Array.from(await tensor.read()));
  const trainer = new Trainer(model, { weightDecay: 10, maxNorm: Infinity });
  const batch = {
    batch: 1,
    length: 4,
    tokens: Int32Array.of(0, 1, 2, 1),
    targets: Int32Array.of(1, 2, 1, 0),
  };
  await trainer.step([batch], 0.1);
  for (const [name, tensor] of model.parameters) {
    const slow = /\.(logAReal|AImag|logDelta)$/.test(name);
    const decay = slow || tensor.shape.length < 2 ? 0 : 0.1 * 10;
    const rate = slow ? 1e-3 : 0.1;
    for (const [i, value] of (await tensor.read()).entries()) {
      const was = before.get(name)![i]; // all were noted
      const moved = Math.abs(value - was * (1 - decay));
      assert.ok(moved <= rate * 1.001, `${name} moved by ${moved}`);
    }
  }
  trainer.free();
});
