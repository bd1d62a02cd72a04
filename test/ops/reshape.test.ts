import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import {
  concat,
  concatOps,
  slice,
  sliceOp,
  split,
  splitOps,
  transpose,
  transposeOp,
} from "../../src/ops/reshape.ts";
import { sum } from "../../src/ops/reduce.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { compareCalls, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

/** Numbers are moved, not computed: all that may differ is the rounding of what gradients are added to. */
const MOVED = 2e-7;

const sizes = fc.constantFrom(1, 2, 3, 8, 17, 40);

test("slice, split, concat and transpose pick elements, by hand", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    assert.deepEqual([...(await slice(u, 0, 1, 2).read())], [4, 5, 6]);
    assert.deepEqual([...(await slice(u, -1, 1, 3).read())], [2, 3, 5, 6]);
    const [first, rest] = split(u, [1, 2]);
    assert.deepEqual(
      [first.shape, rest.shape],
      [
        [2, 1],
        [2, 2],
      ],
    );
    assert.deepEqual([...(await first.read())], [1, 4]);
    assert.deepEqual([...(await rest.read())], [2, 3, 5, 6]);
    assert.deepEqual([...(await concat([u, u], 0).read())], [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual([...(await concat([first, rest, first], 1).read())], [1, 2, 3, 1, 4, 5, 6, 4]);
    assert.deepEqual([...(await transpose(u).read())], [1, 4, 2, 5, 3, 6]);
    assert.deepEqual(transpose(device.zeros([5, 2, 3])).shape, [5, 3, 2]);
    assert.deepEqual(slice(u, 1, 2, 2).shape, [2, 0]);
  }
});

test("concat undoes split, and transpose itself", async () => {
  for (const device of devices) {
    const u = device.tensor(normals(1, 6, 5, 20).values, [6, 5, 20]);
    assert.deepEqual(await concat(split(u, [1, 7, 2, 10]), -1).read(), await u.read());
    assert.deepEqual(await transpose(transpose(u)).read(), await u.read());
  }
});

test("the gradients are the slopes of the loss", async () => {
  const values = (input: number, i: number) => Math.sin(3 * i + input);
  const check = async (fn: Parameters<typeof gradcheck>[0], shapes: number[][]) =>
    assert.ok((await gradcheck(fn, shapes, values, weigh)) < 1e-8);
  await check((u) => slice(u, 1, 1, 3), [[2, 4, 2]]);
  await check((u) => split(u, [1, 3, 2]), [[2, 6]]);
  await check(
    (a, b, c) => concat([a, b, c], 1),
    [
      [2, 1, 3],
      [2, 4, 3],
      [2, 2, 3],
    ],
  );
  await check(transpose, [[2, 3, 4]]);
});

test("a part that nothing depends on has gradient zero", async () => {
  for (const device of devices) {
    const u = device.tensor([1, 2, 3, 4], [2, 2]);
    const grad = gradients([u], () => sum(split(u, [1, 1])[1])).gradients.get(u)!;
    assert.deepEqual([...(await grad.read())], [0, 1, 0, 1], device.name);
  }
});

test("every device moves what the plain loops move", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(sizes, sizes, sizes),
        fc.array(sizes, { minLength: 2, maxLength: 8 }),
        fc.constantFrom(0, 1, 2),
        fc.nat(),
        fc.nat(),
        async (shape, widths, axis, x, z) => {
          const u = normals(x, ...shape);
          const [start, end] = [x % (shape[axis] + 1), z % (shape[axis] + 1)].sort((a, b) => a - b);
          await compareCalls(device, sliceOp, [u], { axis, start, end }, MOVED);
          await compareCalls(device, transposeOp, [u], null, MOVED);
          const whole = normals(x, shape[0], sumOf(widths));
          await compareCalls(device, splitOps[widths.length - 2], [whole], { widths }, MOVED);
          const parts = widths.map((width, i) => normals(i, ...shape.with(axis, width)));
          await compareCalls(device, concatOps[widths.length - 2], parts, { axis }, MOVED);
        },
      ),
      { numRuns: device.name === "webgpu" ? 12 : 30 }, // many pipelines
    );
  }
});

test("every device agrees on rows longer than a task", async () => {
  for (const device of devices) {
    await compareCalls(device, splitOps[0], [normals(1, 2, 50_001)], { widths: [30_000, 20_001] }, MOVED);
    await compareCalls(device, concatOps[0], [normals(1, 2, 30_000), normals(2, 2, 9)], { axis: 1 }, MOVED);
    await compareCalls(device, sliceOp, [normals(1, 50_001)], { axis: 0, start: 123, end: 40_000 }, MOVED);
  }
});

test("NaN and infinity are moved like any number", async () => {
  for (const device of devices) {
    const u = device.tensor([NaN, Infinity, -Infinity, -0], [2, 2]);
    assert.deepEqual([...(await transpose(u).read())], [NaN, -Infinity, Infinity, -0]);
    assert.deepEqual([...(await concat(split(u, [1, 1]), 0).read())], [NaN, -Infinity, Infinity, -0]);
  }
});

test("what does not fit is named", () => {
  const device = exactDevice();
  const u = device.zeros([2, 3]);
  const refuses = (fn: () => unknown, message: string) => assert.throws(fn, { name: "ShapeError", message });
  refuses(
    () => slice(u, 1, 2, 4),
    "slice: must have 0 ≤ start ≤ end ≤ 3, the size of axis 1, got start 2 and end 4",
  );
  refuses(() => slice(u, 2, 0, 1), "slice: axis must be a whole number from -2 to 1 for (2, 3), got 2");
  refuses(
    () => split(u, [1, 1]),
    "split: sizes must be whole, positive and add up to the last axis of (2, 3), got 1, 1",
  );
  refuses(() => split(u, [3]), "split: must have 2 to 8 parts, got 1");
  refuses(
    () => concat([u, device.zeros([3, 3])], 1),
    "concat: part 1 must have the shape of part 0, (2, 3), but for axis 1, got (3, 3)",
  );
  refuses(() => concat([], 0), "concat: must have 2 to 8 parts, got 0");
  refuses(() => transpose(device.zeros([3])), "transpose: u must have at least 2 axes, got (3)");
});

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
