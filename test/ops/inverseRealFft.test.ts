import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { inverseRealFft, inverseRealFftOp } from "../../src/ops/inverseRealFft.ts";
import type { Device } from "../../src/tensor/device.ts";
import { compareCalls, normals, weigh } from "../compareCalls.ts";
import { openDevices, openGpus } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

/** float32 against float64: the error of a transform grows with the logarithm of its length. */
const tolerance = 3e-6;

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

const half = (length: number) => Math.floor(length / 2) + 1;

test("a spectrum of one frequency is one wave; imaginary parts at both ends count as 0", async () => {
  const device = exactDevice();
  const near = async (X: number[], length: number, expected: number[]) => {
    const y = await inverseRealFft(device.tensor(X, [1, half(length), 2]), length).read();
    for (const [t, v] of expected.entries()) assert.ok(Math.abs(y[t] - v) < 1e-15, `y[${t}] is ${y[t]}`);
  };
  await near([4, 7, 0, 0, 0, 9], 4, [1, 1, 1, 1]);
  await near([0, 0, 2, 0, 0, 0], 4, [1, 0, -1, 0]);
  await near([0, 0, 0, -2, 4, 0], 4, [1, 0, 1, -2]);
  await near([3, 5], 1, [3]);
  await near([0, 0, 3, 0], 3, [2, -1, -1]);
});

test("the gradient agrees with finite differences, for even and odd lengths", async () => {
  for (const length of [1, 2, 5, 8, 14]) {
    const gap = await gradcheck(
      (X) => inverseRealFft(X, length),
      [[2, half(length), 2]],
      (_, i) => Math.sin(7.1 * i * i),
      weigh,
    );
    assert.ok(gap < 1e-9, `gap ${gap}`);
  }
});

test("every device computes what the plain loops compute, for any length", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(
      fc.integer({ min: 1, max: 20 }),
      fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 1000 }), fc.constant(2048)),
      (rows, length) =>
        compareCalls(device, inverseRealFftOp, [normals(1, rows, half(length), 2)], { length }, tolerance),
    );
    await fc.assert(agrees, { seed: 1, numRuns: { plain: 2, webgpu: 5 }[device.name] ?? 25 });
  }
});

test("transforms of the GPU that exceed a workgroup, and rows that exceed the scratch, go in parts", async () => {
  for (const device of await openGpus({ fourier: { near: 16, scratch: 2 ** 11 }, defaultLimits: true })) {
    for (const [rows, length] of [
      [9, 100],
      [5, 511],
      [3, 1500],
    ]) {
      await compareCalls(
        device,
        inverseRealFftOp,
        [normals(1, rows, half(length), 2)],
        { length },
        tolerance,
      );
    }
    await device.dispose();
  }
});

test("a transform that is too long for the GPU's numbers is refused before anything runs", async () => {
  for (const device of await openGpus({})) {
    assert.throws(() => inverseRealFft(device.zeros([1, 2 ** 19 + 1, 2]), 2 ** 20), {
      name: "DeviceError",
      message:
        "webgpu: inverseRealFft must be shorter than 1048576, got 1048576. Use another device, or a shorter filter.",
    });
    await device.dispose();
  }
});

test("shapes that do not fit are refused by name", () => {
  const refuses = (X: number[], length: number, message: string) =>
    assert.throws(() => inverseRealFftOp.shapes([X], { length }), {
      name: "ShapeError",
      message: `inverseRealFft: ${message}`,
    });
  refuses([2, 5, 2], 0, "length must be a whole number of at least 1, got 0");
  refuses([5, 2], 8, "X must be (rows, frequencies, complex), got (5, 2)");
  refuses([2, 4, 2], 8, "X must be (rows, frequencies, complex) = (2, 5, 2), got (2, 4, 2)");
});
