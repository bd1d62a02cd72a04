import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { rmsNorm, rmsNormOp } from "../../src/ops/rmsNorm.ts";
import type { Device } from "../../src/tensor/device.ts";
import { compareCalls, evaluate, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));
const epsilon = 1e-5;

/** Sums of 8200 terms in f32. */
const MANY = 6e-5;

test("each row is divided by the root of its mean square and multiplied by the gain", async () => {
  const device = exactDevice();
  const u = device.tensor([3, 4, 0, 0], [2, 1, 2]);
  const y = rmsNorm(u, device.tensor([1, 10]), 0.5);
  assert.deepEqual(y.shape, [2, 1, 2]);
  assert.deepEqual([...(await y.read())], [3 / Math.sqrt(13), 40 / Math.sqrt(13), 0, 0]);
});

test("the gradients are the slopes of the loss", async () => {
  const values = (input: number, i: number) => Math.sin(3 * i + input) + 0.2;
  assert.ok((await gradcheck((u, gain) => rmsNorm(u, gain), [[2, 2, 5], [5]], values, weigh)) < 1e-8);
});

/** How many channels: on webgpu few different numbers, whose pipelines are made once. */
const channels = (device: Device, min: number) =>
  device.name === "webgpu" ? fc.constantFrom(3, 64, 150) : fc.integer({ min, max: 150 });

test("every device computes what the plain loops compute, at any number of rows and channels", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70 }), channels(device, 1), fc.nat(), (rows, n, seed) =>
        compareCalls(device, rmsNormOp, [normals(seed, rows, n), normals(seed + 1, n)], { epsilon }),
      ),
      { numRuns: device.name === "webgpu" ? 10 : 25 },
    );
  }
});

test("every device adds the gradients of many rows, and normalizes long ones", async () => {
  for (const device of devices) {
    for (const [rows, n] of [
      [300, 16],
      [8200, 5],
      [3, 1030],
    ]) {
      const inputs = [normals(1, rows, n), normals(2, n)];
      await compareCalls(device, rmsNormOp, inputs, { epsilon }, MANY);
    }
  }
});

test("a row's bits do not depend on the rows around it", async () => {
  const [u, gain] = [normals(1, 300, 200), normals(2, 200)];
  for (const device of devices) {
    const all = (await evaluate(device, rmsNormOp, [u, gain], { epsilon })).get("y")!;
    const last = { shape: [1, 200], values: Array.from(u.values).slice(-200) };
    const one = (await evaluate(device, rmsNormOp, [last, gain], { epsilon })).get("y")!;
    assert.deepEqual(one, all.slice(-200), device.name);
  }
});

test("NaN and infinity stay in their row", async () => {
  const u = { shape: [3, 3], values: [1, NaN, 2, Infinity, 1, 2, 3, 3, 3] };
  for (const device of devices) {
    await compareCalls(device, rmsNormOp, [u, normals(3, 3)], { epsilon });
    const y = (await evaluate(device, rmsNormOp, [u, { shape: [3], values: [1, 1, 1] }], { epsilon: 0 })).get(
      "y",
    )!;
    assert.deepEqual(Array.from(y).slice(0, 6), [NaN, NaN, NaN, NaN, 0, 0], device.name);
    const bound = device.name === "webgpu" ? 3e-7 : 0; // WGSL's division and square root may be off by 2.5 ulp
    assert.ok(
      y.slice(6).every((one) => Math.abs(one - 1) <= bound),
      `${device.name}: ${y.slice(6)}`,
    );
  }
});

test("a gain of another size is refused", () => {
  const device = exactDevice();
  assert.throws(() => rmsNorm(device.zeros([2, 4]), device.zeros([3])), {
    name: "ShapeError",
    message: "rmsNorm: gain must be (dModel) = (4), got (3)",
  });
  assert.throws(() => rmsNorm(device.zeros([]), device.zeros([1])), {
    name: "ShapeError",
    message: "rmsNorm: u must be (..., dModel), got ()",
  });
});
