import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import {
  add,
  addOp,
  addScalar,
  addScalarOp,
  div,
  divOp,
  mul,
  mulOp,
  scale,
  scaleOp,
  sub,
  subOp,
} from "../../src/ops/arithmetic.ts";
import { compareCalls, evaluate, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

/** Gradients of repeated operands are sums of up to 34 000 terms, whose rounding grows with their number. */
const SUMS = 2e-5;

/** The same sums by WGSL, which has no f64, nor a promise that a compensated sum stays one. */
const SUMS_F32 = 8e-5;

/** Two shapes that broadcast: one of up to four axes, and each operand with some of them missing or of size 1. */
const shapes = fc
  .array(fc.constantFrom(1, 2, 3, 5, 8, 17), { minLength: 1, maxLength: 4 })
  .chain((shape) =>
    fc.tuple(
      fc.constant(shape),
      fc.tuple(...shape.map(() => fc.boolean())),
      fc.tuple(...shape.map(() => fc.boolean())),
      fc.nat({ max: shape.length }),
    ),
  )
  .map(([shape, inA, inB, missing]) => ({
    a: shape.map((size, i) => (inA[i] ? size : 1)),
    b: shape.map((size, i) => (inB[i] ? size : 1)).slice(missing),
  }));

test("the four operations combine elements of equal shapes, by hand", async () => {
  for (const device of devices) {
    const [a, b] = [device.tensor([1, -2, 3]), device.tensor([2, 4, 0.5])];
    assert.deepEqual([...(await add(a, b).read())], [3, 2, 3.5]);
    assert.deepEqual([...(await sub(a, b).read())], [-1, -6, 2.5]);
    assert.deepEqual([...(await mul(a, b).read())], [2, -8, 1.5]);
    assert.deepEqual([...(await div(a, b).read())], [0.5, -0.5, 6]);
    assert.deepEqual([...(await scale(a, 0.5).read())], [0.5, -1, 1.5]);
    assert.deepEqual([...(await addScalar(a, 0.25).read())], [1.25, -1.75, 3.25]);
  }
});

test("a missing axis and an axis of size 1 are repeated, and the shape is the common one", async () => {
  const device = exactDevice();
  const y = add(device.tensor([10, 20], [2, 1]), device.tensor([1, 2, 3]));
  assert.deepEqual(y.shape, [2, 3]);
  assert.deepEqual([...(await y.read())], [11, 12, 13, 21, 22, 23]);
  assert.deepEqual(mul(device.zeros([4, 1, 3]), device.zeros([2, 1])).shape, [4, 2, 3]);
  assert.deepEqual(mul(device.zeros([0, 3]), device.zeros([3])).shape, [0, 3]);
});

test("the gradients are the slopes of the loss, summed over what was repeated", async () => {
  const values = (input: number, i: number) => 1.5 + Math.sin(3 * i + input);
  for (const op of [add, sub, mul, div]) {
    for (const pair of [
      [[4], [4]],
      [[2, 3], [3]],
      [[2, 3], [1]],
      [
        [2, 1, 3],
        [4, 1],
      ],
    ]) {
      assert.ok((await gradcheck(op, pair, values, weigh)) < 1e-7, `${op.name} of ${pair.join(" and ")}`);
    }
  }
  assert.ok((await gradcheck((u) => addScalar(scale(u, -3), 2), [[5]], values, weigh)) < 1e-7);
});

test("every device computes what the plain loops compute, whatever is repeated", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(addOp, subOp, mulOp, divOp), shapes, fc.nat(), async (op, s, seed) => {
        const b = normals(seed, ...s.b);
        const away = { ...b, values: Array.from(b.values, (x) => x + Math.sign(x)) }; // from 0: one divides by it
        await compareCalls(device, op, [normals(seed + 1, ...s.a), away], null, SUMS);
      }),
      { numRuns: device.name === "webgpu" ? 25 : 100 }, // many shapes are many pipelines
    );
  }
});

test("every device agrees on sizes that several tasks share", async () => {
  const pairs = [
    [[30_001], [30_001]],
    [[30_001], [1]],
    [[1], [2000, 17]],
    [[2000, 17], [17]],
    [
      [2000, 17],
      [2000, 1],
    ],
    [
      [3, 100, 65],
      [3, 1, 65],
    ],
    [
      [12, 1, 16, 1],
      [1, 10, 1, 14],
    ],
  ];
  for (const device of devices) {
    const tolerance = device.name === "webgpu" ? SUMS_F32 : SUMS;
    for (const [a, b] of pairs) {
      await compareCalls(device, mulOp, [normals(1, ...a), normals(2, ...b)], null, tolerance);
      await compareCalls(device, subOp, [normals(1, ...a), normals(2, ...b)], null, tolerance);
    }
    await compareCalls(device, scaleOp, [normals(3, 9001)], { factor: 1.7 });
    await compareCalls(device, addScalarOp, [normals(3, 9001)], { c: -0.3 });
  }
});

test("NaN, infinities and divisions by zero come out as IEEE says", async () => {
  const a = { shape: [9], values: [NaN, 1, Infinity, Infinity, 0, 1, -1, 0, 3] };
  const b = { shape: [9], values: [1, NaN, -Infinity, 0, Infinity, 0, 0, 0, 2] };
  for (const device of devices) {
    for (const op of [addOp, subOp, mulOp, divOp]) await compareCalls(device, op, [a, b], null);
    const y = (await evaluate(device, divOp, [a, b], null)).get("y");
    assert.deepEqual(
      [...y!], // divOp has this output
      [NaN, NaN, NaN, Infinity, 0, Infinity, -Infinity, NaN, 1.5],
      device.name,
    );
  }
});

test("shapes that do not fit are named", () => {
  const device = exactDevice();
  assert.throws(() => add(device.zeros([2, 3]), device.zeros([4, 3])), {
    name: "ShapeError",
    message: "add: a and b must agree in every axis where neither is 1, got (2, 3) and (4, 3)",
  });
  assert.throws(() => mul(device.zeros([2, 1, 2, 1, 2]), device.zeros([1, 2, 1, 2, 1])), {
    name: "ShapeError",
    message:
      "mul: (2, 1, 2, 1, 2) and (1, 2, 1, 2, 1) repeat along too many axes. Reshape them to at most 4.",
  });
  assert.throws(() => add(device.integers([1]), device.zeros([1])), {
    name: "ShapeError",
    message: "add: a must be f64, got i32",
  });
});
