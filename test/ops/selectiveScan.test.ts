import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { silu, softplus } from "../../src/ops/activation.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { selectiveScan, type SelectiveScanOptions, selectiveScanOp } from "../../src/ops/selectiveScan.ts";
import type { Device } from "../../src/tensor/device.ts";
import { elementsOf, type Shape } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { openDevices } from "../devices.ts";
import { compareCalls, evaluate, type Input } from "../compareCalls.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";
import { shapesOf, type Sizes } from "../scanShapes.ts";

/** float32 against float64 over at most 40 steps, relative to the largest number of a tensor. */
const tolerance = 2e-5;

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

/** Noise in −1 … 1 that depends on input and position only. */
const noise = (input: number, i: number) => Math.sin(12.9898 * (i + 1) + 78.233 * (input + 1)) ** 3;

/** A < 0, resets now and then, everything else noise. */
function valueOf(input: number, i: number): number {
  if (input === 2) return -Math.exp(noise(2, i));
  if (input === 9) return noise(9, i) > 0.6 ? 1 : 0;
  return noise(input, i);
}

/** All ten inputs of the op, or those of them that `kept` says. */
function inputsOf(sizes: Sizes, kept: (input: number) => boolean = () => true): (Input | null)[] {
  return shapesOf(sizes).map((shape, k) => {
    if (!kept(k)) return null;
    const values = Float64Array.from({ length: elementsOf(shape) }, (_, i) => valueOf(k, i));
    return { shape, values: k === 9 ? values : Float64Array.from(values, Math.fround), integer: k === 9 };
  });
}

const numbers = async (tensor: Tensor) => [...(await tensor.read())];

test("with one state and A = −ln 2 it is a sum that halves at each step", async () => {
  const device = exactDevice();
  const ones = (...shape: number[]) => device.tensor(new Float64Array(elementsOf(shape)).fill(1), shape);
  const A = device.tensor([-Math.LN2], [1, 1]);
  const D = device.tensor([10]);
  const { y, state } = selectiveScan(ones(1, 3, 1), ones(1, 3, 1), A, ones(1, 3, 1), ones(1, 3, 1), { D });
  assert.deepEqual(
    (await numbers(y)).map((v) => +v.toFixed(12)),
    [11, 11.5, 11.75],
  );
  assert.equal((await state.item()).toFixed(12), (1.75).toFixed(12));
});

test("the fused softplus, bias, skip and gate equal their composition", async () => {
  const device = exactDevice();
  const [u, delta, A, B, C, D, z, deltaBias, state] = inputsOf({
    batch: 2,
    length: 5,
    dInner: 3,
    dState: 4,
    groups: 1,
  }).map((input) => device.tensor(input!.values, input!.shape));
  const fused = selectiveScan(u, delta, A, B, C, { D, z, deltaBias, state, softplus: true });
  const step = softplus(add(delta, deltaBias));
  const bare = selectiveScan(u, step, A, B, C, { state });
  const composed = mul(add(bare.y, mul(u, D)), silu(z));
  const expected = await numbers(composed);
  for (const [i, value] of (await numbers(fused.y)).entries())
    assert.ok(Math.abs(value - expected[i]) < 1e-14);
});

test("the gradient agrees with finite differences, for every input and both outputs", async () => {
  const sizes = { batch: 2, length: 5, dInner: 4, dState: 3, groups: 2 };
  const floats = shapesOf(sizes).slice(0, 9);
  for (const [softplus, resets] of [
    [true, [0, 0, 0, 1, 0, 1, 0, 0, 0, 1]],
    [false, null],
  ] as const) {
    const gap = await gradcheck(
      (u, delta, A, B, C, D, z, deltaBias, state) => {
        const packed = resets ? { resets: u.device.integers(resets, [2, 5]) } : {};
        const out = selectiveScan(u, delta, A, B, C, { D, z, deltaBias, state, softplus, ...packed });
        return [out.y, out.state];
      },
      floats,
      (k, i) => valueOf(k, i) + (k === 1 ? 2 : 0), // Δ + Δbias > 0
      ([y, state]) => add(sum(mul(y, weights(y))), sum(mul(state, weights(state)))),
    );
    assert.ok(gap < 1e-9, `gap ${gap}`);
  }
});

const weights = ({ device, shape }: Tensor) =>
  device.tensor(
    Float64Array.from({ length: elementsOf(shape) }, (_, i) => Math.cos(i)),
    shape,
  );

/** Without softplus, for Δ′ > 0: negative steps grow without bound, and so do rounding errors. */
const absolute = (input: Input | null) => input && { ...input, values: Array.from(input.values, Math.abs) };

const anySizes = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  length: fc.integer({ min: 1, max: 40 }),
  perGroup: fc.oneof(fc.integer({ min: 1, max: 24 }), fc.constantFrom(64, 70, 130)),
  dState: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(16, 18)),
  groups: fc.integer({ min: 1, max: 3 }),
});
const flags = (count: number) => fc.array(fc.boolean(), { minLength: count, maxLength: count });

test("every device computes what the plain loops compute, whatever is left out or has no gradient", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(
      anySizes,
      flags(10),
      flags(2),
      fc.boolean(),
      async ({ perGroup, ...sizes }, given, graded, softplus) => {
        const all = inputsOf({ ...sizes, dInner: perGroup * sizes.groups }, (k) => k < 5 || given[k]);
        const inputs = softplus ? all : all.map((input, k) => (k === 1 || k === 7 ? absolute(input) : input));
        await compareCalls(device, selectiveScanOp, inputs, { softplus }, tolerance, graded);
      },
    );
    await fc.assert(agrees, { seed: 1, numRuns: { plain: 2, webgpu: 3 }[device.name] ?? 15 }); // more of the GPU: backends/webgpu/selectiveScan.test.ts
  }
});

/** The steps from … to of a tensor (batch, length, …) on its device. */
function cut({ shape: [batch, length, ...rest], values, integer }: Input, from: number, to: number): Input {
  const row = elementsOf(rest);
  const parts = Array.from({ length: batch }, (_, b) =>
    Array.from(values).slice((b * length + from) * row, (b * length + to) * row),
  );
  return { shape: [batch, to - from, ...rest], values: parts.flat(), integer };
}

/** Scans the ten inputs in pieces that end at `ends`, handing the state over. */
async function scanInPieces(device: Device, inputs: readonly (Input | null)[], ends: readonly number[]) {
  const place = (input: Input | null) =>
    input ? device.tensor(input.values, input.shape, input.integer ? "i32" : undefined) : undefined;
  const [, , A, , , D, , deltaBias, initial] = inputs.map(place);
  let state = initial;
  const ys: number[][] = [];
  for (const [i, end] of ends.entries()) {
    const piece = (k: number) => place(inputs[k] && cut(inputs[k], ends[i - 1] ?? 0, end));
    const options: SelectiveScanOptions = {
      D,
      z: piece(6),
      deltaBias,
      state,
      resets: piece(9),
      softplus: true,
    };
    const out = selectiveScan(piece(0)!, piece(1)!, A!, piece(3)!, piece(4)!, options); // the five are never left out
    state = out.state;
    ys.push(await numbers(out.y));
  }
  return { ys, state: await numbers(state!) }; // ends is not empty
}

test("a sequence whole, in chunks and step by step gives the same bits, outputs and state", async () => {
  const inputs = inputsOf({ batch: 1, length: 53, dInner: 37, dState: 16, groups: 1 });
  for (const device of devices) {
    const whole = await scanInPieces(device, inputs, [53]);
    for (const ends of [[1, 17, 32, 53], Array.from({ length: 53 }, (_, t) => t + 1)]) {
      const pieces = await scanInPieces(device, inputs, ends);
      assert.deepEqual(pieces.ys.flat(), whole.ys.flat());
      assert.deepEqual(pieces.state, whole.state);
    }
  }
});

test("a sequence gives the same bits in every batch, gradients included", async () => {
  const sizes = { batch: 3, length: 40, dInner: 70, dState: 5, groups: 1 };
  const perBatch = [0, 1, 3, 4, 6, 8, 9]; // inputs with a batch axis
  for (const device of devices) {
    const together = inputsOf(sizes);
    const whole = await evaluate(device, selectiveScanOp, together, { softplus: true });
    const alone = together.map((input, k) => {
      if (!perBatch.includes(k)) return input;
      const [batch, ...rest] = input!.shape; // nothing is left out
      const row = elementsOf(rest);
      return { ...input!, shape: [1, ...rest], values: Array.from(input!.values).slice(0, row), batch };
    });
    const single = await evaluate(device, selectiveScanOp, alone, { softplus: true });
    for (const name of [
      "y",
      "state",
      "gradient of u",
      "gradient of delta",
      "gradient of B",
      "gradient of z",
    ]) {
      const values = single.get(name)!; // named as the op names them
      assert.deepEqual(values, whole.get(name)!.slice(0, values.length), `${device.name}: ${name}`);
    }
  }
});

test("documents packed with resets give what they give alone, even after an infinite state", async () => {
  const sizes = { batch: 1, length: 24, dInner: 19, dState: 6, groups: 1 };
  const inputs = inputsOf(sizes, (k) => k < 8);
  const resets = Int32Array.from({ length: 24 }, (_, t) => (t === 9 ? 7 : 0));
  const poisoned = inputs.map((input, k) =>
    k === 0 ? { ...input!, values: Float64Array.from(input!.values).fill(Infinity, 0, 19) } : input,
  );
  const packed = [...poisoned.slice(0, 9), { shape: [1, 24], values: resets, integer: true }];
  const second = poisoned.map((input, k) =>
    input && [0, 1, 3, 4, 6].includes(k) ? cut(input, 9, 24) : input,
  );
  for (const device of devices) {
    const both = await scanInPieces(device, packed, [24]);
    const alone = await scanInPieces(device, second, [15]);
    assert.deepEqual(both.ys[0].slice(9 * 19), alone.ys[0]);
    assert.deepEqual(both.state, alone.state);
    assert.ok(both.ys[0].slice(0, 9 * 19).every((v) => !Number.isFinite(v)));
  }
});

test("no gradient crosses a reset: a document full of NaN leaves those of the others as they are", async () => {
  const sizes = { batch: 1, length: 40, dInner: 19, dState: 6, groups: 1 };
  const resets = {
    shape: [1, 40],
    values: Int32Array.from({ length: 40 }, (_, t) => +(t === 21)),
    integer: true,
  };
  const sound = [...inputsOf(sizes, (k) => k < 8).slice(0, 9), resets];
  const C = Float64Array.from(sound[4]!.values).fill(NaN, 21 * 6); // always given
  const spoilt = sound.with(4, { ...sound[4]!, values: C });
  for (const device of devices) {
    const expected = await evaluate(device, selectiveScanOp, sound, { softplus: true });
    const got = await evaluate(device, selectiveScanOp, spoilt, { softplus: true });
    for (const name of ["gradient of u", "gradient of delta", "gradient of z"]) {
      const values = got.get(name)!; // named as the op names them
      assert.deepEqual(
        values.slice(0, 21 * 19),
        expected.get(name)!.slice(0, 21 * 19),
        `${device.name}: ${name}`,
      );
    }
    assert.ok(Number.isNaN(got.get("gradient of A")![0]));
  }
});

test("softplus keeps its digits at both ends", async () => {
  const length = 200;
  const delta = Float64Array.from({ length }, (_, t) => Math.fround((t - 100) * 0.4));
  const ones = { shape: [1, length, 1], values: new Float64Array(length).fill(1) };
  const zero = { shape: [1, 1], values: [0] };
  const everyStep = { shape: [1, length], values: new Int32Array(length).fill(1), integer: true };
  const inputs = [ones, { shape: [1, length, 1], values: delta }, zero, ones, ones];
  const packed = [...inputs, null, null, null, null, everyStep]; // so that y = Δ′
  for (const device of devices) {
    const [y] = (await scanInPieces(device, packed, [length])).ys;
    for (const [t, value] of y.entries()) {
      const exact = Math.log1p(Math.exp(delta[t]));
      assert.ok(Math.abs(value / exact - 1) < 1e-6, `${device.name}: softplus(${delta[t]}) = ${value}`);
    }
  }
});

test("NaN stays in its channel and from its step on; decays beyond the range of floats go to 0 and infinity", async () => {
  const sizes = { batch: 1, length: 6, dInner: 21, dState: 3, groups: 1 };
  const inputs = inputsOf(sizes, (k) => k < 6);
  const [u, delta, A] = inputs.slice(0, 3).map((input) => Float64Array.from(input!.values)); // none of the first five is left out
  u[2 * 21 + 4] = NaN;
  delta.fill(1);
  for (let n = 0; n < 3; n++) {
    A[n * 21] = -1e30;
    A[n * 21 + 1] = 1e30;
    A[n * 21 + 2] = -Infinity;
  }
  const spoilt = inputs.map((input, k) => (k < 3 ? { ...input!, values: [u, delta, A][k] } : input));
  const kind = (v: number) => (Number.isFinite(v) ? "finite" : String(v));
  const expected = (await scanInPieces(exactDevice(), spoilt, [6])).ys[0].map(kind);
  assert.equal(expected.filter((v) => v === "NaN").length >= 4, true);
  for (const device of devices) {
    assert.deepEqual((await scanInPieces(device, spoilt, [6])).ys[0].map(kind), expected, device.name);
  }
});

test("shapes that do not fit are refused by name", () => {
  const u = [2, 64, 32];
  const shapes = (...inputs: (Shape | null)[]) =>
    selectiveScanOp.shapes([...inputs, null, null, null, null, null], { softplus: true });
  const refuses = (inputs: (Shape | null)[], message: string) =>
    assert.throws(() => shapes(...inputs), { name: "ShapeError", message: `selectiveScan: ${message}` });
  refuses([[64, 32], u, [16, 32], u, u], "u must be (batch, length, dInner), got (64, 32)");
  refuses(
    [u, [2, 64, 31], [16, 32], u, u],
    "delta must be (batch, length, dInner) = (2, 64, 32), got (2, 64, 31)",
  );
  refuses([u, u, [32, 16], u, u], "A must be (dState, dInner) = (32, 32), got (32, 16)");
  refuses(
    [u, u, [16, 32], [2, 64, 8], [2, 64, 16]],
    "B must be (batch, length, dState) = (2, 64, 16), got (2, 64, 8)",
  );
  refuses(
    [u, u, [16, 32], [2, 64, 4, 16], [2, 64, 2, 16]],
    "C must be (batch, length, groups, dState) = (2, 64, 4, 16), got (2, 64, 2, 16)",
  );
  refuses([u, u, [16, 32], [2, 64, 5, 16], [2, 64, 5, 16]], "the groups of B must divide dInner = 32, got 5");
});
