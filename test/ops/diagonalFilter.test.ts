import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { random } from "../../src/math/random.ts";
import {
  diagonalFilter,
  type DiagonalFilterOptions,
  diagonalFilterOp,
} from "../../src/ops/diagonalFilter.ts";
import type { Device } from "../../src/tensor/device.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { compareCalls, evaluate, type Input, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

/** Λ, B, C, Δ: real parts in −1.5 … −0.5, imaginary parts to ±`fastest`, Δ log-uniform in 0.001 … 0.1. */
function systems(channels: number, n: number, fastest: number, seed = 1): Input[] {
  const source = random(seed);
  const lambda = Float32Array.from({ length: channels * n * 2 }, (_, i) =>
    i % 2 === 0 ? -0.5 - source.uniform() : fastest * (2 * source.uniform() - 1),
  );
  const delta = Float32Array.from({ length: channels }, () => 0.001 * 100 ** source.uniform());
  return [
    { shape: [channels, n, 2], values: lambda },
    normals(seed + 1, channels, n, 2),
    normals(seed + 2, channels, n, 2),
    { shape: [channels], values: delta },
  ];
}

async function filterOf(device: Device, inputs: readonly Input[], options: DiagonalFilterOptions) {
  const [lambda, B, C, delta] = inputs.map(({ shape, values }) => device.tensor(values, shape));
  return [...(await diagonalFilter(lambda, B, C, delta, options).read())];
}

test("a real mode that halves at each step gives halves; a turning one turns", async () => {
  const device = exactDevice();
  const one = device.tensor([1, 0], [1, 1, 2]);
  const delta = device.tensor([1]);
  const halving = diagonalFilter(device.tensor([-Math.LN2, 0], [1, 1, 2]), one, one, delta, { length: 3 });
  const held = 1 / Math.LN2; // 2 B̄ = 2 (1 − ½)/ln 2
  assert.deepEqual(rounded(await halving.read()), rounded([held, held / 2, held / 4]));
  const turning = diagonalFilter(device.tensor([0, Math.PI / 2], [1, 1, 2]), one, one, delta, { length: 4 });
  const turn = 4 / Math.PI; // B̄ = (i − 1)/(iπ/2) = (1 + i) 2/π
  assert.deepEqual(rounded(await turning.read()), rounded([turn, -turn, -turn, turn]));
  const options = { length: 2, discretization: "bilinear" } as const;
  const bilinear = diagonalFilter(device.tensor([-1, 0], [1, 1, 2]), one, one, delta, options);
  assert.deepEqual(rounded(await bilinear.read()), rounded([4 / 3, 4 / 9]));
});

const rounded = (values: ArrayLike<number>) => Array.from(values, (value) => +value.toFixed(12));

const anySystem = fc.record({
  channels: fc.integer({ min: 1, max: 4 }),
  n: fc.integer({ min: 1, max: 4 }),
  length: fc.integer({ min: 1, max: 12 }),
  discretization: fc.constantFrom("zoh", "bilinear") as fc.Arbitrary<"zoh" | "bilinear">,
});

test("the gradient agrees with finite differences", async () => {
  const check = fc.asyncProperty(anySystem, fc.integer({ min: 0, max: 1000 }), async (sizes, seed) => {
    const { channels, n, length, discretization } = sizes;
    const inputs = systems(channels, n, 5, seed);
    const gap = await gradcheck(
      (lambda, B, C, delta) => diagonalFilter(lambda, B, C, delta, { length, discretization }),
      inputs.map(({ shape }) => shape),
      (k, i) => inputs[k].values[i] * (k === 3 ? 10 : 1),
      weigh,
    );
    assert.ok(gap < 1e-7, `gap ${gap}`);
  });
  await fc.assert(check, { seed: 1, numRuns: 20 });
});

test("the gradient of a mode that forgets everything, Ā = 0, is exact", async () => {
  const values = [[-2, 0], [1, 0.5], [0.3, -0.7], [1]];
  const gap = await gradcheck(
    (lambda, B, C, delta) => diagonalFilter(lambda, B, C, delta, { length: 4, discretization: "bilinear" }),
    [[1, 1, 2], [1, 1, 2], [1, 1, 2], [1]],
    (k, i) => values[k][i],
    weigh,
  );
  assert.ok(gap < 1e-8, `gap ${gap}`);
});

/** Float32 sums of `n` modes, or of `length` positions, of numbers to the size of the largest result. */
const tolerance = 2e-5;

const anySize = fc.record({
  channels: fc.integer({ min: 1, max: 5 }),
  n: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(32, 33, 70)),
  length: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(64, 128, 256, 257, 700)),
  discretization: fc.constantFrom("zoh", "bilinear") as fc.Arbitrary<"zoh" | "bilinear">,
});

test("every device computes what the plain loops compute", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(anySize, async ({ channels, n, length, discretization }) => {
      await compareCalls(
        device,
        diagonalFilterOp,
        systems(channels, n, 100),
        { length, discretization },
        tolerance,
      );
    });
    await fc.assert(agrees, { seed: 1, numRuns: { plain: 3, webgpu: 10 }[device.name] ?? 25 });
  }
});

test("small and vanishing ΔΛ, and Ā = 0, are no special cases for any device", async () => {
  const lambda = [0, 0, -1e-8, 0, -1e-3, 1e-3, -0.4, 0.3, -2, 0, -3, 1e-6, -1e4, 1e3];
  const inputs = [
    { shape: [1, 7, 2], values: lambda },
    normals(1, 1, 7, 2),
    normals(2, 1, 7, 2),
    { shape: [1], values: [1] },
  ];
  for (const device of devices) {
    for (const discretization of ["zoh", "bilinear"] as const) {
      await compareCalls(device, diagonalFilterOp, inputs, { length: 70, discretization }, tolerance);
    }
  }
});

test("the phase of a power holds for 16384 positions, as far as the float32 inputs tell it", async () => {
  const length = 16384;
  const inputs = systems(2, 32, 100);
  inputs[0] = {
    ...inputs[0],
    values: Float32Array.from(inputs[0].values, (x, i) => (i % 2 === 0 ? x / 100 : x)),
  };
  for (const discretization of ["zoh", "bilinear"] as const) {
    const exact = await filterOf(exactDevice(), inputs, { length, discretization });
    const largest = exact.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    for (const device of devices) {
      const got = await filterOf(device, inputs, { length, discretization });
      const gap = got.reduce((worst, x, i) => Math.max(worst, Math.abs(x - exact[i])), 0);
      assert.ok(gap < 5e-7 * largest, `${device.name} ${discretization}: ${gap / largest}`);
    }
  }
});

test("a shorter filter is the beginning of a longer one, bit for bit, and a channel that of any set", async () => {
  const inputs = systems(3, 40, 100);
  const second = inputs.map(({ shape, values }) => {
    const row = values.length / 3;
    return { shape: [1, ...shape.slice(1)], values: Array.from(values).slice(row, 2 * row) };
  });
  for (const device of devices) {
    const long = await filterOf(device, inputs, { length: 700 });
    for (const length of [1, 63, 64, 300]) {
      const short = await filterOf(device, inputs, { length });
      assert.deepEqual(short.slice(0, length), long.slice(0, length), device.name);
    }
    assert.deepEqual(await filterOf(device, second, { length: 700 }), long.slice(700, 1400));
  }
});

test("NaN stays in its channel, and goes through", async () => {
  for (let k = 0; k < 4; k++) {
    const inputs = systems(3, 5, 10);
    const values = Array.from(inputs[k].values);
    values[k === 3 ? 1 : 10] = NaN; // of the second channel
    const spoilt = inputs.with(k, { ...inputs[k], values });
    for (const device of devices) {
      const K = await filterOf(device, spoilt, { length: 130 });
      const where = [0, 1, 2].map((h) => K.slice(h * 130, h * 130 + 130).filter(Number.isNaN).length);
      assert.deepEqual(where, [0, 130, 0], `${device.name}: input ${k}`);
      const found = await evaluate(device, diagonalFilterOp, spoilt, { length: 130 });
      const dDelta = found.get("gradient of delta")!; // the op has such an input
      assert.deepEqual(Array.from(dDelta, Number.isNaN), [false, true, false], `${device.name}: input ${k}`);
    }
  }
});

test("shapes that do not fit are refused by name", () => {
  const refuses = (shapes: Shape[], options: DiagonalFilterOptions, message: string) =>
    assert.throws(() => diagonalFilterOp.shapes(shapes, options), {
      name: "ShapeError",
      message: `diagonalFilter: ${message}`,
    });
  const fit: Shape[] = [[3, 4, 2], [3, 4, 2], [3, 4, 2], [3]];
  refuses(fit.with(0, [3, 4]), { length: 5 }, "lambda must be (channels, n, complex), got (3, 4)");
  refuses(
    fit.with(0, [3, 0, 2]),
    { length: 5 },
    "lambda must be (channels, n, 2) with n of at least 1, got (3, 0, 2)",
  );
  refuses(
    fit.with(2, [3, 5, 2]),
    { length: 5 },
    "C must be (channels, n, complex) = (3, 4, 2), got (3, 5, 2)",
  );
  refuses(fit.with(3, [4]), { length: 5 }, "delta must be (channels) = (3), got (4)");
  refuses(fit, { length: 0 }, "length must be an integer of at least 1, got 0");
});
