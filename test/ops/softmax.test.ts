import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { softmax, softmaxOp } from "../../src/ops/softmax.ts";
import { compareCalls, evaluate, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

test("each row becomes shares in proportion to its exponentials, however large they are", async () => {
  for (const device of devices) {
    const u = device.tensor([0, Math.log(3), 5000, 5000, -1e9, 0], [3, 2]);
    const y = await softmax(u).read();
    for (const [i, share] of [0.25, 0.75, 0.5, 0.5, 0, 1].entries()) assert.ok(Math.abs(y[i] - share) < 1e-7);
  }
});

test("the gradients are the slopes of the loss", async () => {
  const values = (_input: number, i: number) => 2 * Math.sin(3 * i);
  assert.ok((await gradcheck(softmax, [[2, 3, 4]], values, weigh)) < 1e-8);
});

test("every device computes what the plain loops compute", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 150 }),
        fc.nat(),
        (rows, n, seed) => compareCalls(device, softmaxOp, [normals(seed, rows, n)], null),
      ),
      { numRuns: device.name === "webgpu" ? 4 : 20 }, // the GPU compiles for each size
    );
    for (const size of [4, 16, 5000, 5001])
      await compareCalls(device, softmaxOp, [normals(1, 67, size)], null);
  }
});

test("NaN or +∞ makes a row NaN, −∞ a share of 0", async () => {
  const u = { shape: [3, 3], values: [1, NaN, 2, 1, Infinity, 2, 1, -Infinity, 1] };
  for (const device of devices) {
    const y = (await evaluate(device, softmaxOp, [u], null)).get("y")!;
    assert.deepEqual([...y], [NaN, NaN, NaN, NaN, NaN, NaN, 0.5, 0, 0.5], device.name);
    await compareCalls(device, softmaxOp, [u], null);
  }
});
