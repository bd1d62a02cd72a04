import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { causalConv1d, causalConv1dOp } from "../../src/ops/causalConv1d.ts";
import { sum } from "../../src/ops/reduce.ts";
import type { Device } from "../../src/tensor/device.ts";
import { elementsOf, type Shape } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { compareCalls, evaluate, type Input } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

/** float32 against float64, sums over at most 1800 numbers, relative to the largest number of a tensor. */
const tolerance = 1e-5;

interface Sizes {
  batch: number;
  length: number;
  channels: number;
  dConv: number;
}

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

const shapesOf = ({ batch, length, channels, dConv }: Sizes): Shape[] => [
  [batch, length, channels],
  [dConv, channels],
  [channels],
  [batch, dConv - 1, channels],
  [batch, length],
];

/** Noise in −1 … 1 that depends on input and position only; resets now and then. */
function valueOf(input: number, i: number): number {
  const noise = Math.sin(12.9898 * (i + 1) + 78.233 * (input + 1)) ** 3;
  return input === 4 ? (noise > 0.6 ? 1 : 0) : noise;
}

/** All five inputs of the op, or those of them that `given` says. */
function inputsOf(sizes: Sizes, given: (input: number) => boolean = () => true): (Input | null)[] {
  return shapesOf(sizes).map((shape, k) => {
    if (!given(k)) return null;
    const values = Float32Array.from({ length: elementsOf(shape) }, (_, i) => valueOf(k, i));
    return { shape, values, integer: k === 4 };
  });
}

const numbers = async (tensor: Tensor) => [...(await tensor.read())];

test("the last weight is for the current input, the first for the oldest", async () => {
  const device = exactDevice();
  const u = device.tensor([1, 2, 3, 4], [1, 4, 1]);
  const weight = device.tensor([100, 10, 1], [3, 1]);
  const bias = device.tensor([0.5]);
  const state = device.tensor([8, 9], [1, 2, 1]);
  const fromZero = causalConv1d(u, weight);
  assert.deepEqual(await numbers(fromZero.y), [1, 12, 123, 234]);
  assert.deepEqual(await numbers(fromZero.state), [3, 4]);
  const continued = causalConv1d(u, weight, { bias, state });
  assert.deepEqual(await numbers(continued.y), [891.5, 912.5, 123.5, 234.5]);
});

test("a reset hides what came before it, from the outputs and from the state", async () => {
  const device = exactDevice();
  const u = device.tensor([1, 2, 3, 4], [1, 4, 1]);
  const weight = device.tensor([100, 10, 1], [3, 1]);
  const state = device.tensor([8, 9], [1, 2, 1]);
  const resets = device.integers([1, 0, 0, 1], [1, 4]);
  const { y, state: last } = causalConv1d(u, weight, { state, resets });
  assert.deepEqual(await numbers(y), [1, 12, 123, 4]);
  assert.deepEqual(await numbers(last), [0, 4]);
});

test("the gradient agrees with finite differences, for every input and both outputs", async () => {
  for (const { silu, length, dConv } of [
    { silu: true, length: 6, dConv: 4 },
    { silu: false, length: 2, dConv: 4 },
    { silu: true, length: 3, dConv: 1 },
  ]) {
    const gap = await gradcheck(
      (u, weight, bias, state) => {
        const packed = Int32Array.from({ length: 2 * length }, (_, i) => (i % 5 === 3 ? 1 : 0));
        const resets = u.device.integers(packed, [2, length]);
        const out = causalConv1d(u, weight, { bias, state, resets, silu });
        return [out.y, out.state];
      },
      shapesOf({ batch: 2, length, channels: 3, dConv }).slice(0, 4),
      valueOf,
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

const anySizes = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 600 })),
  channels: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 150 })),
  dConv: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 11 })),
});
const flags = (count: number) => fc.array(fc.boolean(), { minLength: count, maxLength: count });

test("every device computes what the plain loops compute, whatever is left out or has no gradient", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(
      anySizes,
      flags(5),
      flags(2),
      fc.boolean(),
      async (sizes, given, graded, silu) => {
        const inputs = inputsOf(sizes, (k) => k < 2 || given[k]);
        await compareCalls(device, causalConv1dOp, inputs, { silu }, tolerance, graded);
      },
    );
    await fc.assert(agrees, { seed: 1, numRuns: { plain: 2, webgpu: 5 }[device.name] ?? 15 });
  }
});

/** The steps from … to of a tensor (batch, length, …). */
function cut({ shape: [batch, length, ...rest], values, integer }: Input, from: number, to: number): Input {
  const row = elementsOf(rest);
  const parts = Array.from({ length: batch }, (_, b) =>
    Array.from(values).slice((b * length + from) * row, (b * length + to) * row),
  );
  return { shape: [batch, to - from, ...rest], values: parts.flat(), integer };
}

/** Convolves the five inputs in pieces that end at `ends`, handing the state over. */
async function convolveInPieces(device: Device, inputs: readonly (Input | null)[], ends: readonly number[]) {
  const place = (input: Input | null) =>
    input ? device.tensor(input.values, input.shape, input.integer ? "i32" : undefined) : undefined;
  const [, weight, bias, initial] = inputs.map(place);
  let state = initial;
  const ys: number[][] = [];
  for (const [i, end] of ends.entries()) {
    const piece = (k: number) => place(inputs[k] && cut(inputs[k], ends[i - 1] ?? 0, end));
    const options = { bias, state, resets: piece(4), silu: true };
    const out = causalConv1d(piece(0)!, weight!, options); // u and weight are never left out
    state = out.state;
    ys.push(await numbers(out.y));
  }
  return { ys, state: await numbers(state!) }; // ends is not empty
}

test("a sequence whole, in chunks and step by step gives the same bits, outputs and state", async () => {
  for (const dConv of [2, 4, 6]) {
    const inputs = inputsOf({ batch: 1, length: 301, channels: 37, dConv });
    for (const device of devices) {
      const whole = await convolveInPieces(device, inputs, [301]);
      for (const ends of [[1, 3, 17, 256, 301], Array.from({ length: 301 }, (_, t) => t + 1)]) {
        const pieces = await convolveInPieces(device, inputs, ends);
        assert.deepEqual(pieces.ys.flat(), whole.ys.flat());
        assert.deepEqual(pieces.state, whole.state);
      }
    }
  }
});

test("a sequence gives the same bits in every batch, gradients included", async () => {
  const together = inputsOf({ batch: 3, length: 300, channels: 70, dConv: 4 });
  const alone = together.map((input, k) => {
    if (k === 1 || k === 2) return input;
    const [, ...rest] = input!.shape; // nothing is left out
    return { ...input!, shape: [1, ...rest], values: Array.from(input!.values).slice(0, elementsOf(rest)) };
  });
  for (const device of devices) {
    const whole = await evaluate(device, causalConv1dOp, together, { silu: true });
    const single = await evaluate(device, causalConv1dOp, alone, { silu: true });
    for (const name of ["y", "state", "gradient of u", "gradient of state"]) {
      const values = single.get(name)!; // named as the op names them
      assert.deepEqual(values, whole.get(name)!.slice(0, values.length), `${device.name}: ${name}`);
    }
  }
});

test("NaN and infinity reach the next dConv − 1 steps of their channel and nothing else, not past a reset", async () => {
  const inputs = inputsOf({ batch: 1, length: 12, channels: 21, dConv: 3 }, (k) => k < 3);
  const values = Float64Array.from(inputs[0]!.values); // always given
  values[2 * 21 + 4] = NaN;
  values[6 * 21 + 5] = Infinity;
  const resets = {
    shape: [1, 12],
    values: Int32Array.from({ length: 12 }, (_, t) => +(t === 7)),
    integer: true,
  };
  const spoilt = [{ ...inputs[0]!, values }, inputs[1], inputs[2], null, resets]; // always given
  for (const device of devices) {
    const [y] = (await convolveInPieces(device, spoilt, [12])).ys;
    for (const [i, v] of y.entries()) {
      const [t, d] = [Math.floor(i / 21), i % 21];
      const reached = (d === 4 && t >= 2 && t <= 4) || (d === 5 && t === 6);
      assert.equal(Number.isFinite(v), !reached, `${device.name}: y[${t}, ${d}] is ${v}`);
    }
  }
});

test("shapes that do not fit are refused by name", () => {
  const refuses = (inputs: (Shape | null)[], message: string) =>
    assert.throws(() => causalConv1dOp.shapes(inputs, { silu: true }), {
      name: "ShapeError",
      message: `causalConv1d: ${message}`,
    });
  const u = [2, 9, 6];
  refuses([[9, 6], [4, 6], null, null, null], "u must be (batch, length, channels), got (9, 6)");
  refuses([[2, 0, 6], [4, 6], null, null, null], "length must be at least 1, got 0");
  refuses([u, [6, 4], null, null, null], "weight must be (dConv, channels) = (6, 6), got (6, 4)");
  refuses([u, [0, 6], null, null, null], "dConv must be at least 1, got 0");
  refuses([u, [4, 6], [5], null, null], "bias must be (channels) = (6), got (5)");
  refuses(
    [u, [4, 6], null, [2, 4, 6], null],
    "state must be (batch, dConv - 1, channels) = (2, 3, 6), got (2, 4, 6)",
  );
  refuses([u, [4, 6], null, null, [2, 8]], "resets must be (batch, length) = (2, 9), got (2, 8)");
});
