import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { clipFactor, sumOfSquares, sumOfSquaresOp } from "../../src/ops/gradientNorm.ts";
import type { Device } from "../../src/tensor/device.ts";
import { compareCalls, normals } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

async function clipOf(
  device: Device,
  sum: number,
  maxNorm: number,
): Promise<{ factor: number; norm: number }> {
  const { factor, norm } = clipFactor(device.tensor([sum]), { maxNorm });
  return { factor: await factor.item(), norm: await norm.item() };
}

test("the norm of several tensors is the root of their chained sums of squares", async () => {
  for (const device of devices) {
    const a = device.tensor([1, 2, 3, 1], [2, 2]);
    const sum = sumOfSquares(device.tensor([-7]), sumOfSquares(a));
    assert.deepEqual(sum.shape, [1]);
    assert.equal(await sum.item(), 64, device.name);
    assert.equal(await clipFactor(sum, { maxNorm: 1 }).norm.item(), 8, device.name);
  }
});

test("a norm above the largest allowed is brought down to it, one below is left alone", async () => {
  for (const device of devices) {
    const { factor } = await clipOf(device, 64, 2);
    assert.ok(Math.abs(factor - 0.25) < 1e-6, device.name);
    assert.deepEqual(await clipOf(device, 64, 8.001), { factor: 1, norm: 8 });
    assert.deepEqual(await clipOf(device, 0, 1), { factor: 1, norm: 0 });
    assert.deepEqual(await clipOf(device, 64, Infinity), { factor: 1, norm: 8 });
  }
});

test("a NaN norm gives a NaN factor, an infinite one 0", async () => {
  for (const device of devices) {
    assert.deepEqual(await clipOf(device, NaN, 1), { factor: NaN, norm: NaN }, device.name);
    assert.deepEqual(await clipOf(device, Infinity, 1), { factor: 0, norm: Infinity }, device.name);
  }
});

test("every device computes what the plain loops compute, at any size", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20_000 }), fc.boolean(), (size, chained) =>
        compareCalls(device, sumOfSquaresOp, [normals(size, size), chained ? normals(1, 1) : null], null),
      ),
      { numRuns: 15 },
    );
  }
});

test("neither a million large nor a million small gradients are lost", async () => {
  for (const device of devices) {
    for (const size of [1e12, 1e-12]) {
      const sum = sumOfSquares(device.tensor(new Float32Array(1e6).fill(size)));
      const norm = await clipFactor(sum, { maxNorm: 1 }).norm.item();
      assert.ok(Math.abs(norm / (1000 * size) - 1) < 1e-6, `${device.name}: ${norm}`);
    }
  }
});

test("a largest norm that is not above 0 is refused", () => {
  const sum = exactDevice().zeros([1]);
  for (const maxNorm of [0, -1, NaN]) {
    assert.throws(() => clipFactor(sum, { maxNorm }), {
      name: "UsageError",
      message: `clipFactor: maxNorm must be above 0, got ${maxNorm}.`,
    });
  }
});
