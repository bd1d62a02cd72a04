import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { dplrSpectrum, dplrSpectrumOp } from "../../src/ops/dplrSpectrum.ts";
import type { Device } from "../../src/tensor/device.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { compareCalls, evaluate, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";
import { anySystems, systemInputs, systemShapes, systemValue } from "./dplrSystems.ts";

/**
 * float32 against float64, relative to the largest number of a tensor. At a resonance the rounding of ω counts about
 * Im λ / Re λ times, a few hundred here.
 */
const tolerance = 1e-4;

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

test("of length 1 and 2 it can be checked by hand", async () => {
  const device = exactDevice();
  // A = −2 − 1·1 for the one real state of which two halves, Λ = −2, P = B = 1/√2, make the pair; C̃ = 3/√2.
  const half = (v: number) => device.tensor([v * Math.SQRT1_2, 0], [1, 1, 2]);
  const P = device.tensor([Math.SQRT1_2, 0], [1, 1, 1, 2]);
  const of = async (length: number) => [
    ...(await dplrSpectrum(device.tensor([-2, 0], [1, 1, 2]), P, half(1), half(3), device.tensor([0.5]), {
      length,
    }).read()),
  ];
  // K̂(1) = Δ C̃ (−Δ A)⁻¹ B = 3/3, K̂(−1) = Δ/2 C̃ B = 3/4.
  const expected = [1, 0, 0.75, 0];
  for (const length of [1, 2]) {
    const got = await of(length);
    assert.equal(got.length, 2 * length);
    for (const [i, v] of got.entries()) assert.ok(Math.abs(v - expected[i]) < 1e-15, `${i} is ${v}`);
  }
});

test("the gradient agrees with finite differences, for every input, both ranks, even and odd lengths", async () => {
  for (const { rank, length } of [
    { rank: 1, length: 6 },
    { rank: 2, length: 5 },
  ]) {
    const gap = await gradcheck(
      (lambda, P, B, C, delta) => dplrSpectrum(lambda, P, B, C, delta, { length }),
      systemShapes({ channels: 2, n: 3, rank }),
      (k, i) => systemValue(k, i, 3),
      weigh,
    );
    assert.ok(gap < 2e-8, `gap ${gap}`);
  }
});

test("every device computes what the plain loops compute, for any length and size", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(
      anySystems,
      fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 700 })),
      (sizes, length) => compareCalls(device, dplrSpectrumOp, systemInputs(sizes), { length }, tolerance),
    );
    await fc.assert(agrees, { seed: 1, numRuns: device.name === "plain" ? 2 : 10 });
  }
});

test("a channel gives the same bits alone and beside others, gradients included", async () => {
  const alone = systemInputs({ channels: 1, n: 7, rank: 2 });
  const together = alone.map(({ shape, values }, k) => {
    const rank = k === 1 ? 2 : 1;
    const own = values.length / rank; // the ranks of P come before its channels
    const twice = Array.from(
      { length: 2 * values.length },
      (_, i) => values[Math.floor(i / (2 * own)) * own + (i % own)],
    );
    return { shape: k === 1 ? [2, 2, 7, 2] : [2, ...shape.slice(1)], values: twice };
  });
  for (const device of devices) {
    const one = await evaluate(device, dplrSpectrumOp, alone, { length: 100 });
    const two = await evaluate(device, dplrSpectrumOp, together, { length: 100 });
    const spectrum = one.get("spectrum")!; // named as the op names it
    assert.deepEqual([...two.get("spectrum")!], [...spectrum, ...spectrum], device.name);
  }
});

test("NaN stays in its channel", async () => {
  const inputs = systemInputs({ channels: 3, n: 4, rank: 1 });
  const B = Float64Array.from(inputs[2].values);
  B[1 * 8 + 3] = NaN;
  const spoilt = inputs.with(2, { ...inputs[2], values: B });
  for (const device of devices) {
    const found = (await evaluate(device, dplrSpectrumOp, spoilt, { length: 9 })).get("spectrum")!; // as above
    for (const [i, v] of found.entries())
      assert.equal(Number.isNaN(v), Math.floor(i / 10) === 1, `${device.name}: ${i}`);
  }
});

test("shapes that do not fit are refused by name", () => {
  const one = [6, 4, 2];
  const refuses = (inputs: Shape[], length: number, message: string) =>
    assert.throws(() => dplrSpectrumOp.shapes(inputs, { length }), {
      name: "ShapeError",
      message: `dplrSpectrum: ${message}`,
    });
  refuses([[6, 4], [1, ...one], one, one, [6]], 8, "lambda must be (channels, n, complex), got (6, 4)");
  refuses(
    [one, [1, ...one], one, [6, 3, 2], [6]],
    8,
    "Ctilde must be (channels, n, complex) = (6, 4, 2), got (6, 3, 2)",
  );
  for (const length of [0, 2.5]) {
    refuses(
      [one, [1, ...one], one, one, [6]],
      length,
      `length must be a whole number of at least 1, got ${length}`,
    );
  }
});
