import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { naiveFilter } from "../../src/math/filter.ts";
import { bilinear } from "../../src/math/discretize.ts";
import { denseOf, dplr, nplr } from "../../src/math/nplr.ts";
import { Decoder } from "../../src/generate/decoder.ts";
import {
  createLanguageModel,
  createSequenceModel,
  languageConfig,
  sequenceConfig,
} from "../../src/models/catalog.ts";
import { configOf } from "../../src/models/config.ts";
import { randomParameters } from "../../src/models/layers.ts";
import { S4, s4Fields, s4Kind } from "../../src/models/s4.ts";
import { scaleStepSizes } from "../../src/models/samplingRate.ts";
import { dplrReadout } from "../../src/ops/dplrReadout.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { sum } from "../../src/ops/reduce.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import type { Device } from "../../src/tensor/device.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { assertNear, normals } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = [exactDevice(), ...(await openDevices())];
after(() => Promise.all(devices.map((device) => device.dispose())));

/** What rounding makes of two orders of the same sums, at lengths of about 100, relative to the largest output. */
const tolerance = { f64: 1e-9, f32: 1e-4 } as Record<string, number>;

function layer(device: Device, channels: number, given: object): S4 {
  return new S4(configOf("s4", s4Fields, given), channels, randomParameters(device, 5));
}

const place = (device: Device, ...shape: number[]) => device.tensor(normals(1, ...shape).values, shape);

test("convolution = recurrence, for every measure and any length up to the filter's", async () => {
  const cases = fc.asyncProperty(
    fc.record({
      batch: fc.integer({ min: 1, max: 2 }),
      length: fc.integer({ min: 1, max: 100 }),
      more: fc.integer({ min: 0, max: 30 }),
      channels: fc.integer({ min: 1, max: 5 }),
      n: fc.integer({ min: 1, max: 8 }),
      initialization: fc.constantFrom("legs", "legt", "lagt", "fourier"),
    }),
    async ({ batch, length, more, channels, n, initialization }) => {
      for (const device of devices) {
        const s4 = layer(device, channels, { dState: 2 * n, filterLength: length + more, initialization });
        const u = place(device, batch, length, channels);
        const convolved = await s4.forward(u).y.read();
        const { y } = s4.forward(u, s4.initialState(batch));
        assertNear(`${device.name}: y`, await y.read(), convolved, tolerance[device.float]);
      }
    },
  );
  await fc.assert(cases, { seed: 2, numRuns: 12 });
});

test("a fresh layer is the HiPPO system: its filter is that of the dense matrices, in HiPPO's own basis", async () => {
  const [device] = devices;
  const [dState, length, channels] = [8, 40, 3];
  const s4 = layer(device, channels, { dState, filterLength: length, deltaMin: 0.01 });
  const { logAReal, AImag, P, Ctilde, logDelta, D } = s4.parameters;
  const hippo = dplr(nplr("legS", dState));
  const deltas = (await logDelta.read()).map(Math.exp);
  const lambda = device.tensor(
    [...(await logAReal.read())].flatMap((log, i) => [
      -Math.exp(log),
      hippo.lambda[2 * (i % (dState / 2)) + 1],
    ]),
    [...AImag.shape, 2],
  );
  const C = await dplrReadout(lambda, P, Ctilde, device.tensor(deltas), { length }).read();
  const impulse = device.tensor(
    Float64Array.from({ length: length * channels }, (_, i) => (i < channels ? 1 : 0)),
    [1, length, channels],
  );
  const y = await s4.forward(impulse).y.read();
  const skip = await D.read();
  for (let h = 0; h < channels; h++) {
    const { Abar, Bbar } = bilinear(denseOf(hippo), nplr("legS", dState).B, deltas[h]);
    const row = Float64Array.from({ length: dState }, (_, i) => rowInBasis(C, hippo.V, h, i));
    const K = naiveFilter(Abar, Bbar, row, length);
    const own = Float64Array.from({ length }, (_, t) => y[t * channels + h] - (t === 0 ? skip[h] : 0));
    assertNear(`channel ${h}`, own, K, 2e-6); // parameters are drawn in float32
  }
});

/** 2 Re Σ_n C V̄ of state i: C V* over both of each pair. */
function rowInBasis(C: ArrayLike<number>, V: Float64Array, h: number, i: number): number {
  const n = Math.sqrt(V.length / 4);
  let total = 0;
  for (let k = 0; k < n; k++) {
    const [v, c] = [2 * (i * n + k), 2 * (h * n + k)];
    total += 2 * (C[c] * V[v] + C[c + 1] * V[v + 1]);
  }
  return total;
}

test("a recurrence cut anywhere gives the bits of the whole, and goes on beyond the filter", async () => {
  for (const device of devices) {
    const s4 = layer(device, 9, { dState: 6, filterLength: 8 });
    const [batch, length] = [2, 30];
    const { values } = normals(1, batch, length, 9);
    const piece = (from: number, to: number) =>
      device.tensor(
        [0, 1].flatMap((b) => Array.from(values).slice((b * length + from) * 9, (b * length + to) * 9)),
        [batch, to - from, 9],
      );
    const whole = await s4.forward(piece(0, length), s4.initialState(batch)).y.read();
    let state = s4.initialState(batch);
    for (const [from, to] of [
      [0, 1],
      [1, 18],
      [18, 30],
    ]) {
      const next = s4.forward(piece(from, to), state);
      const expected = [0, 1].flatMap((b) =>
        Array.from(whole).slice((b * length + from) * 9, (b * length + to) * 9),
      );
      assert.deepEqual([...(await next.y.read())], expected, `${device.name}: ${from} to ${to}`);
      state = next.state!; // it was given one
    }
  }
});

test("a bidirectional layer adds what the backward system makes of all that is yet to come", async () => {
  const [device] = devices;
  const config = { dState: 6, filterLength: 12, bidirectional: true };
  const both = layer(device, 2, config);
  const forward = layer(device, 2, { ...config, bidirectional: false });
  const { CtildeFuture, D, ...shared } = both.parameters;
  const backward = new S4(configOf("s4", s4Fields, { ...config, bidirectional: false }), 2, (name) =>
    name === "D" ? device.zeros([2]) : name === "Ctilde" ? CtildeFuture : shared[name],
  );
  const u = place(device, 1, 12, 2);
  const turned = async (x: Tensor) => {
    const values = await x.read();
    return device.tensor(
      Float64Array.from({ length: 24 }, (_, i) => values[2 * (11 - (i >> 1)) + (i % 2)]),
      x.shape,
    );
  };
  const ahead = await backward.forward(await turned(u)).y.read();
  const past = await forward.forward(u).y.read();
  const expected = past.map((v, i) => v + (i < 22 ? ahead[2 * (10 - (i >> 1)) + (i % 2)] : 0));
  assertNear("y", await both.forward(u).y.read(), expected, 1e-12);
  assert.ok(D);
});

test("with its step sizes doubled a model reads every second sample as it read all", async () => {
  const [device] = devices;
  const sizes = { dModel: 3, layers: 1, dState: 8, filterLength: 256, inputs: 1, outputs: 2 };
  const model = createSequenceModel(device, sequenceConfig("s4", sizes), 3);
  const slow = (length: number, every: number) =>
    device.tensor(
      Float64Array.from({ length }, (_, t) => Math.sin(0.02 * (every * (t + 1) - 1))),
      [1, length, 1],
    );
  const expected = await model.forward(slow(256, 1)).y.read();
  const unchanged = await model.forward(slow(128, 2)).y.read();
  await scaleStepSizes(model, 2);
  const doubled = await model.forward(slow(128, 2)).y.read();
  const off = (got: ArrayLike<number>) => Math.hypot(got[0] - expected[0], got[1] - expected[1]);
  assert.ok(off(doubled) < 0.02 * Math.hypot(expected[0], expected[1]), `off by ${off(doubled)}`);
  assert.ok(off(doubled) < off(unchanged) / 5, `${off(doubled)} against ${off(unchanged)}`);
});

test("a decoder that begins again reads out as it did", async () => {
  for (const device of devices.slice(1)) {
    const config = languageConfig("s4", { dModel: 6, layers: 2, dState: 6, filterLength: 20, vocabulary: 5 });
    const decoder = new Decoder(createLanguageModel(device, config, 1));
    const first = await decoder.prefill([1, 2, 3, 4, 0, 1]);
    await decoder.step(2);
    decoder.restart();
    assert.deepEqual(await decoder.prefill([1, 2, 3, 4, 0, 1]), first, device.name);
    decoder.free();
  }
});

test("every parameter is trained", async () => {
  for (const device of devices) {
    const s4 = layer(device, 4, { dState: 6, filterLength: 10, bidirectional: true });
    const u = place(device, 2, 10, 4);
    const { gradients: found } = gradients(Object.values(s4.parameters), () => {
      const { y } = s4.forward(u);
      return sum(mul(y, y));
    });
    for (const [name, parameter] of Object.entries(s4.parameters)) {
      const gradient = await found.get(parameter)!.read(); // each leads to y
      assert.ok(gradient.every(Number.isFinite) && gradient.some((g) => g !== 0), `${device.name}: ${name}`);
    }
  }
});

test("what makes no S4, or cannot be done, is said", () => {
  const [device] = devices;
  const refuses = (fn: () => unknown, message: string) => assert.throws(fn, { name: "UsageError", message });
  const sizes = { dModel: 4, layers: 1 };
  refuses(
    () => s4Kind.config({ ...sizes, dState: 7 }),
    "s4: dState must be even, half of the states conjugates of others, got 7.",
  );
  refuses(
    () => s4Kind.config({ ...sizes, initialization: "chebt" }),
    's4: initialization must be legs, legt, lagt or fourier, got "chebt".',
  );
  const s4 = layer(device, 2, { dState: 4, filterLength: 5 });
  refuses(
    () => s4.forward(device.zeros([1, 6, 2])),
    "s4: a sequence must be at most filterLength = 5 long to be convolved, got 6. " +
      "Give it a state: a recurrence has no such limit.",
  );
  refuses(
    () => s4.forward(device.zeros([1, 2, 2]), undefined, device.integers([0, 1], [1, 2])),
    "s4: does not forget where a document begins. Give each its own sequence.",
  );
  const both = layer(device, 2, { dState: 4, filterLength: 5, bidirectional: true });
  refuses(() => both.initialState(1), "s4: a bidirectional layer needs the whole sequence, it has no state.");
});
