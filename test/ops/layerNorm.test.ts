import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { layerNorm, layerNormOp } from "../../src/ops/layerNorm.ts";
import type { Device } from "../../src/tensor/device.ts";
import { compareCalls, evaluate, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));
const epsilon = 1e-5;

/** Sums of 8200 terms in f32. */
const MANY = 6e-5;

test("each row gets mean 0 and variance 1, then the gain and the bias", async () => {
  const device = exactDevice();
  const u = device.tensor([1, 3, 5, 5], [2, 2]);
  const y = layerNorm(u, device.tensor([1, 10]), device.tensor([0, 7]), 0);
  assert.deepEqual([...(await y.read())].slice(0, 2), [-1, 17]);
  const flat = layerNorm(u, device.tensor([1, 10]), device.tensor([0, 7]), 1);
  assert.deepEqual([...(await flat.read())].slice(2), [0, 7]);
});

test("the gradients are the slopes of the loss", async () => {
  const values = (input: number, i: number) => Math.sin(3 * i + input) + 0.2;
  const shapes = [[2, 2, 5], [5], [5]];
  assert.ok((await gradcheck((u, gain, bias) => layerNorm(u, gain, bias), shapes, values, weigh)) < 1e-8);
});

/** How many channels: on webgpu few different numbers, whose pipelines are made once. */
const channels = (device: Device, min: number) =>
  device.name === "webgpu" ? fc.constantFrom(3, 64, 150) : fc.integer({ min, max: 150 });

test("every device computes what the plain loops compute, at any number of rows and channels", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70 }), channels(device, 2), fc.nat(), (rows, n, seed) => {
        const inputs = [normals(seed, rows, n), normals(seed + 1, n), normals(seed + 2, n)];
        return compareCalls(device, layerNormOp, inputs, { epsilon: 0.1 });
      }),
      { numRuns: device.name === "webgpu" ? 10 : 25 },
    );
  }
});

test("a mean far from 0 does not drown the variance", async () => {
  const far = Float32Array.from({ length: 37 }, (_, i) => 4096 + (i % 5));
  const inputs = [{ shape: [1, 37], values: far }, normals(1, 37), normals(2, 37)];
  for (const device of devices) await compareCalls(device, layerNormOp, inputs, { epsilon }, 1e-4);
});

test("every device adds the gradients of many rows, and normalizes long ones", async () => {
  for (const device of devices) {
    for (const [rows, n] of [
      [300, 16],
      [8200, 5],
      [3, 1030],
    ]) {
      const inputs = [normals(1, rows, n), normals(2, n), normals(3, n)];
      await compareCalls(device, layerNormOp, inputs, { epsilon }, MANY);
    }
  }
});

test("a row's bits do not depend on the rows around it", async () => {
  const [u, gain, bias] = [normals(1, 300, 200), normals(2, 200), normals(3, 200)];
  for (const device of devices) {
    const all = (await evaluate(device, layerNormOp, [u, gain, bias], { epsilon })).get("y")!;
    const last = { shape: [1, 200], values: Array.from(u.values).slice(-200) };
    const one = (await evaluate(device, layerNormOp, [last, gain, bias], { epsilon })).get("y")!;
    assert.deepEqual(one, all.slice(-200), device.name);
  }
});

test("NaN and infinity stay in their row", async () => {
  const u = { shape: [3, 3], values: [1, NaN, 2, Infinity, 1, 2, 1, 2, 3] };
  const inputs = [u, { shape: [3], values: [1, 1, 1] }, { shape: [3], values: [0, 0, 0] }];
  for (const device of devices) {
    const y = (await evaluate(device, layerNormOp, inputs, { epsilon })).get("y")!;
    assert.ok(y.slice(0, 6).every(Number.isNaN), device.name);
    assert.ok(Math.abs(y[8] - Math.sqrt(1.5)) < 1e-4, device.name);
    await compareCalls(device, layerNormOp, inputs, { epsilon });
  }
});

test("a gain or bias of another size is refused", () => {
  const device = exactDevice();
  const [u, four, three] = [device.zeros([2, 4]), device.zeros([4]), device.zeros([3])];
  assert.throws(() => layerNorm(u, three, four), {
    name: "ShapeError",
    message: "layerNorm: gain must be (dModel) = (4), got (3)",
  });
  assert.throws(() => layerNorm(u, four, three), {
    name: "ShapeError",
    message: "layerNorm: bias must be (dModel) = (4), got (3)",
  });
});
