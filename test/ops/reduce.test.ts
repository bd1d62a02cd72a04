import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { argmax, max, maxOp, mean, meanOp, sum, sumOp } from "../../src/ops/reduce.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { compareCalls, evaluate, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

/** A sum of n normal numbers is near √n, and so is its rounding in units of 2⁻²⁴: at most 20 001 terms here. */
const SUMS = 2e-5;

test("sum, mean and max leave out the axis they go along, and without one give shape (1)", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 5, 3, 4, 2, 9], [2, 3]);
    assert.deepEqual([...(await sum(u).read())], [24]);
    assert.deepEqual([...(await sum(u, 0).read())], [5, 7, 12]);
    assert.deepEqual([...(await sum(u, 1).read())], [9, 15]);
    assert.deepEqual([...(await sum(u, -1).read())], [9, 15]);
    assert.deepEqual([...(await mean(u, 1).read())], [3, 5]);
    assert.deepEqual([...(await max(u, 0).read())], [4, 5, 9]);
    assert.deepEqual([...(await max(u).read())], [9]);
    assert.deepEqual([...(await argmax(u).read())], [1, 2]);
    assert.deepEqual(sum(device.zeros([2, 3, 4]), 1).shape, [2, 4]);
    assert.deepEqual([sum(u).shape, max(device.zeros([3]), 0).shape], [[1], [1]]);
  }
});

test("the gradients are the slopes of the loss", async () => {
  const values = (_input: number, i: number) => Math.sin(5 * i);
  for (const op of [sum, mean, max]) {
    for (const axis of [undefined, 0, 1, 2]) {
      assert.ok((await gradcheck((u) => op(u, axis), [[3, 4, 2]], values, weigh)) < 1e-8, op.name);
    }
  }
});

test("the gradient of max goes to the first of equal maxima, or to the first NaN", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 3, 3, 2, NaN, 7, NaN, 0], [2, 4]);
    const rows = gradients([u], () => sum(max(u, 1))).gradients.get(u)!;
    assert.deepEqual([...(await rows.read())], [0, 1, 0, 0, 1, 0, 0, 0], device.name);
    const columns = device.tensor([1, 5, 3, 5, 3, NaN], [3, 2]);
    const down = gradients([columns], () => sum(max(columns, 0))).gradients.get(columns)!;
    assert.deepEqual([...(await down.read())], [0, 0, 1, 0, 0, 1], device.name);
  }
});

test("every device computes what the plain loops compute, along any axis", async () => {
  const sizes = fc.constantFrom(1, 2, 3, 7, 16, 33, 70);
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(sumOp, meanOp, maxOp),
        fc.tuple(sizes, sizes, sizes),
        fc.constantFrom(null, 0, 1, 2),
        fc.nat(),
        (op, shape, axis, seed) => compareCalls(device, op, [normals(seed, ...shape)], { axis }, SUMS),
      ),
      { numRuns: device.name === "webgpu" ? 20 : 60 }, // many shapes are many pipelines
    );
  }
});

test("every device agrees on axes that are cut into blocks", async () => {
  for (const device of devices) {
    for (const shape of [[20_001], [3, 9001], [9001, 3], [2, 700, 50], [258, 1030], [4200, 33]]) {
      for (const op of [meanOp, maxOp]) {
        await compareCalls(device, op, [normals(1, ...shape)], { axis: 0 }, SUMS);
        await compareCalls(device, op, [normals(1, ...shape)], { axis: shape.length - 1 }, SUMS);
      }
    }
  }
});

test("a row's bits do not depend on how many rows there are", async () => {
  for (const device of devices) {
    for (const n of [1, 30, 257, 4099, 10_000]) {
      const many = normals(n, 9, n);
      const last = { shape: [1, n], values: Array.from(many.values).slice(-n) };
      for (const op of [sumOp, meanOp, maxOp]) {
        const all = (await evaluate(device, op, [many], { axis: 1 })).get("y")!;
        const one = (await evaluate(device, op, [last], { axis: 1 })).get("y")!;
        assert.deepEqual([...one], [all[8]], `${device.name}: ${op.name} of ${n}`);
      }
    }
  }
});

test("argmax is the lowest index of the largest, wherever it stands", async () => {
  for (const device of devices) {
    for (const n of [1, 2, 31, 32, 33, 500]) {
      for (const at of [0, n >> 1, n - 1]) {
        const row = new Float32Array(n).fill(-2);
        row.fill(-1, at); // all from `at` on are equal
        assert.equal(await argmax(device.tensor(row)).item(), at, device.name);
      }
    }
    assert.equal(await argmax(device.tensor([-1, -0, 0])).item(), 1, device.name); // zeros are equal
    assert.deepEqual(argmax(device.zeros([2, 5, 3])).shape, [2, 5]);
  }
});

test("NaN and infinity go through: max and argmax take the first NaN, sums become NaN", async () => {
  for (const device of devices) {
    for (const n of [4, 100]) {
      const row = normals(1, n).values as Float32Array;
      const nan = device.tensor(row.with(n - 2, NaN).with(n - 1, NaN));
      assert.equal(await argmax(nan).item(), n - 2, device.name);
      assert.deepEqual([await max(nan).item(), await sum(nan).item()], [NaN, NaN], device.name);
      const infinite = device.tensor(row.with(1, Infinity).with(2, -Infinity));
      assert.deepEqual([await max(infinite).item(), await sum(infinite).item()], [Infinity, NaN]);
      assert.equal(await argmax(infinite).item(), 1);
      const none = device.tensor(new Float32Array(n).fill(-Infinity));
      assert.deepEqual([await max(none).item(), await argmax(none).item()], [-Infinity, 0], device.name);
    }
    const u = { shape: [3, 2], values: [1, NaN, Infinity, 2, -Infinity, 3] };
    for (const op of [sumOp, meanOp, maxOp]) await compareCalls(device, op, [u], { axis: 0 });
  }
});

test("the sum of nothing is 0; what cannot be reduced is refused by name", async () => {
  for (const device of devices) {
    assert.deepEqual([...(await sum(device.zeros([0, 2]), 0).read())], [0, 0]);
    assert.equal(await mean(device.zeros([0])).item(), NaN);
  }
  const device = exactDevice();
  assert.throws(() => max(device.zeros([2, 0]), 1), {
    name: "ShapeError",
    message: "max: (2, 0) has no elements to compare",
  });
  assert.throws(() => argmax(device.zeros([2, 0])), {
    name: "ShapeError",
    message: "argmax: (2, 0) has no elements to compare",
  });
  assert.throws(() => sum(device.zeros([2, 3]), 2), {
    name: "ShapeError",
    message: "sum: axis must be a whole number from -2 to 1 for (2, 3), got 2",
  });
  const u = device.zeros([2, 3]);
  assert.throws(() => gradients([u], () => argmax(u)), {
    name: "ShapeError",
    message: "argmax: has no gradient. Use it outside gradients().",
  });
});
