import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { openDevice } from "../../src/node.ts";
import { plan } from "../../src/backends/webgpu/kernels/matmul.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { matmul, matmulOp, type Transposes } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import type { Numbers } from "../../src/tensor/backend.ts";
import type { Device } from "../../src/tensor/device.ts";
import { elementsOf, type Shape } from "../../src/tensor/shape.ts";
import { assertNear, compareCalls, evaluate, type Input } from "../compareCalls.ts";
import { openDevices, openGpus } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

let devices: Device[];
let compiled: Device[];
/** Devices whose sums have one order at any size; on the GPU the size decides how many parts a sum has. */
let ordered: Device[];
let gpus: Device[];
before(async () => {
  devices = await openDevices();
  compiled = devices.filter(({ name }) => name !== "plain");
  ordered = compiled.filter(({ name }) => name !== "webgpu");
  gpus = await openGpus(
    { defaultLimits: true, subgroups: false },
    fewWorkgroups,
    someWorkgroups,
    manyWorkgroups,
  );
});
after(async () => {
  for (const device of [...devices, ...gpus]) await device.dispose();
});

/** A GPU that is busy with one large tile, one that is with a few, and one that never is: small tiles, inner in parts. */
const fewWorkgroups = { parallelism: 256 };
const someWorkgroups = { parallelism: 512 };
const manyWorkgroups = { parallelism: 2 ** 22 };

/** Float32 against float64 over at most 500 terms, relative to the largest result. */
const tolerance = 2e-6;

/** One product; a batch of 0 is a rank-2 a. */
interface Problem {
  readonly batch: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

const layouts: Required<Transposes>[] = [false, true].flatMap((transposeA) =>
  [false, true].map((transposeB) => ({ transposeA, transposeB })),
);

function shapesOf({ batch, rows, inner, columns }: Problem, { transposeA, transposeB }: Transposes): Shape[] {
  const leading = batch > 0 ? [batch] : [];
  return [
    [...leading, ...(transposeA ? [inner, rows] : [rows, inner])],
    [...leading, ...(transposeB ? [columns, inner] : [inner, columns])],
  ];
}

/** Noise in −1 … 1 that depends on input and position only. */
const noise = (input: number, i: number) => Math.sin(12.9898 * (i + 1) ** 2 + 78.233 * (input + 1));

/** Numbers of eight bits and mixed exponents: their products are exact in f32, their sums are not. */
const eightBits = (input: number, i: number) => Math.round(127 * noise(input, i)) / 2 ** (i % 7);

function inputsOf(problem: Problem, layout: Transposes, value = eightBits) {
  return shapesOf(problem, layout).map((shape, input) => ({
    shape,
    values: Float32Array.from({ length: elementsOf(shape) }, (_, i) => value(input, i)),
  }));
}

const problem = fc
  .record({
    batch: fc.integer({ min: 0, max: 3 }),
    rows: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 120 })),
    inner: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 240, max: 300 })),
    columns: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 300 })),
  })
  .filter(({ batch, rows, inner, columns }) => Math.max(1, batch) * rows * inner * columns < 1e6);

test("a product by hand, in every layout", async () => {
  const a = [1, 2, 3, 4, 5, 6]; // (2, 3)
  const b = [1, -1, 0, 2, 3, 0.5]; // (3, 2)
  for (const device of devices) {
    for (const { transposeA, transposeB } of layouts) {
      const left = transposeA ? device.tensor([1, 4, 2, 5, 3, 6], [3, 2]) : device.tensor(a, [2, 3]);
      const right = transposeB ? device.tensor([1, 0, 3, -1, 2, 0.5], [2, 3]) : device.tensor(b, [3, 2]);
      const y = matmul(left, right, { transposeA, transposeB });
      assert.deepEqual(y.shape, [2, 2]);
      assert.deepEqual([...(await y.read())], [10, 4.5, 22, 9]);
    }
  }
});

test("one b serves all leading sizes of a; a b of the same leading sizes is one for each matrix", async () => {
  for (const device of devices) {
    const a = device.tensor([1, 2, 3, 4], [2, 1, 2]);
    const shared = matmul(a, device.tensor([1, 10], [2, 1]));
    assert.deepEqual(shared.shape, [2, 1, 1]);
    assert.deepEqual([...(await shared.read())], [21, 43]);
    const each = matmul(a, device.tensor([1, 10, 0, 1], [2, 2, 1]));
    assert.deepEqual([...(await each.read())], [21, 4]);
  }
});

test("the gradients agree with finite differences, in every layout", async () => {
  for (const layout of layouts) {
    for (const batch of [0, 2]) {
      const shapes = shapesOf({ batch, rows: 3, inner: 2, columns: 4 }, layout);
      const gap = await gradcheck(
        (a, b) => matmul(a, b, layout),
        shapes,
        noise,
        ([y]) => sum(mul(y, y)),
      );
      assert.ok(gap < 1e-8, `gap ${gap} for batch ${batch}, ${JSON.stringify(layout)}`);
    }
  }
});

test("every device computes what the plain loops do, forward and backward, adding or not, wanted or not", async () => {
  for (const device of compiled) {
    await fc.assert(
      fc.asyncProperty(problem, fc.constantFrom(...layouts), (sizes, layout) =>
        compareCalls(device, matmulOp, inputsOf(sizes, layout), layout, tolerance),
      ),
      { numRuns: device.name === "webgpu" ? 4 : 60 }, // the GPU compiles for each problem
    );
  }
});

test("so does the GPU in each of its ways: large and small tiles, sums in parts, and few rows", async () => {
  const [plain, few, some, many] = gpus;
  if (!plain) return;
  const straight = { transposeA: false, transposeB: false };
  const turned = { transposeA: true, transposeB: true };
  const agrees = (gpu: Device, rows: number, inner: number, columns: number, layout: Transposes, batch = 0) =>
    compareCalls(gpu, matmulOp, inputsOf({ batch, rows, inner, columns }, layout), layout, tolerance);
  await agrees(few, 125, 60, 252, straight); // 128 × 128
  await agrees(few, 62, 33, 190, turned); // 64 × 64
  await agrees(some, 62, 140, 190, straight); // 64 × 64, two slices
  await agrees(many, 33, 1030, 36, straight); // 32 × 32, in parts
  await agrees(plain, 33, 260, 36, turned); // four slices
  await agrees(many, 9, 201, 35, turned, 2);
  await agrees(plain, 3, 260, 76, straight);
  await agrees(plain, 2, 66, 35, turned, 3);
  await agrees(plain, 8, 10, 9, { transposeA: false, transposeB: true });
  const both = inputsOf({ batch: 0, rows: 160, inner: 1030, columns: 64 }, straight); // slices and parts
  const [sliced, whole] = [await product(many, both, straight), await product(exactDevice(), both, straight)];
  assertNear("slices and parts", sliced, whole, tolerance);
  const tall = inputsOf({ batch: 2, rows: 300, inner: 20, columns: 70 }, straight); // ten tiles: more than one band
  const [got, expected] = [await product(many, tall, straight), await product(exactDevice(), tall, straight)];
  assertNear("bands", got, expected, tolerance);
});

test("the GPU's way follows from the sizes", () => {
  const way = (rows: number, inner: number, columns: number, parallelism = 65536) => {
    const extent = (value: number) => ({ value, code: "" });
    const factor = { name: "", alongInner: true };
    const sizes = { rows: extent(rows), inner: extent(inner), columns: extent(columns) };
    const { tile, parts } = plan(
      { ...sizes, batch: 1, a: factor, b: factor, y: "", adds: false },
      { parallelism },
    );
    return [tile.rows, tile.slices, parts];
  };
  assert.deepEqual(way(2048, 768, 3072), [128, 1, 1]);
  assert.deepEqual(way(768, 16384, 768), [128, 1, 16]); // a weight's gradient
  assert.deepEqual(way(20, 64, 64), [32, 1, 1]);
  assert.deepEqual(way(33, 260, 36), [32, 4, 1]);
  assert.deepEqual(way(125, 60, 252, fewWorkgroups.parallelism), [128, 1, 1]);
  assert.deepEqual(way(62, 33, 190, fewWorkgroups.parallelism), [64, 1, 1]);
  assert.deepEqual(way(62, 140, 190, someWorkgroups.parallelism), [64, 2, 1]);
  assert.deepEqual(way(33, 1030, 36, manyWorkgroups.parallelism), [32, 1, 16]);
  assert.deepEqual(way(160, 1030, 64, manyWorkgroups.parallelism), [32, 4, 4]);
});

test("each element is one chain over inner, bit for bit, in every layout, but on the GPU", async () => {
  await fc.assert(fc.asyncProperty(problem, fc.constantFrom(...layouts), expectChains), { numRuns: 60 });
});

test("so it is in products that are packed, in several chunks, or of several matrices a chunk", async () => {
  for (const layout of layouts) {
    const rows = layout.transposeB ? 5 : 49; // as few as are packed
    await expectChains({ batch: 0, rows, inner: 2000, columns: 520 }, layout);
    await expectChains({ batch: 3, rows, inner: 530, columns: 130 }, layout);
    await expectChains({ batch: 0, rows: 530, inner: 20, columns: 520 }, layout);
  }
});

test("a row of a product has the bits of the product of that row alone, on the GPU to rounding", async () => {
  for (const [rows, inner, columns] of [
    [2, 64, 128],
    [17, 300, 70],
    [200, 513, 257],
  ]) {
    const [a, b] = inputsOf({ batch: 0, rows, inner, columns }, {}, noise);
    for (const device of compiled) {
      const whole = await product(device, [a, b], {});
      for (const row of [0, 1, (rows >> 1) - 1, rows - 1]) {
        const alone: Input = { shape: [1, inner], values: a.values.slice(row * inner, (row + 1) * inner) };
        const part = await product(device, [alone, b], {});
        const expected = whole.slice(row * columns, (row + 1) * columns);
        if (device.name === "webgpu") assertNear("webgpu", part, expected, tolerance);
        else assert.deepEqual(part, expected, `${device.name}, row ${row}`);
      }
    }
  }
});

test("NaN and infinity reach the row and the column that hold them, and no other", async () => {
  for (const rows of [3, 30]) {
    const [a, b] = inputsOf({ batch: 0, rows, inner: 20, columns: 45 }, {});
    a.values[1 * 20 + 7] = NaN;
    b.values[9 * 45 + 44] = Infinity;
    a.values[2 * 20 + 9] = 0; // 0 · ∞ = NaN
    for (const device of devices) {
      const y = await product(device, [a, b], {});
      for (let i = 0; i < rows * 45; i++) {
        const [row, column] = [Math.floor(i / 45), i % 45];
        if (row === 1 || (row === 2 && column === 44)) assert.ok(Number.isNaN(y[i]), `${device.name} ${i}`);
        else assert.equal(Number.isFinite(y[i]), column !== 44, `${device.name} ${row}, ${column}: ${y[i]}`);
      }
    }
  }
});

test("factors that do not fit are refused, with the shapes that would", () => {
  const device = exactDevice();
  const refused = (a: Shape, b: Shape, transposes: Transposes, message: string) =>
    assert.throws(() => matmul(device.zeros(a), device.zeros(b), transposes), {
      name: "ShapeError",
      message,
    });
  refused([2, 3], [4, 5], {}, "matmul: b must be (inner, columns) = (3, 5) for a (2, 3), got (4, 5)");
  refused(
    [2, 3],
    [4, 5],
    { transposeB: true },
    "matmul: b must be (columns, inner) = (4, 3) for a (2, 3), got (4, 5)",
  );
  refused(
    [7, 2, 3],
    [7, 4, 5],
    {},
    "matmul: b must be (..., inner, columns) = (7, 3, 5) for a (7, 2, 3), got (7, 4, 5)",
  );
  refused(
    [7, 2, 3],
    [6, 3, 5],
    {},
    "matmul: b must be (inner, columns) or (7, inner, columns), got (6, 3, 5)",
  );
  refused([2, 3], [1, 3, 5], {}, "matmul: b must be (inner, columns), got (1, 3, 5)");
  refused([3], [3, 5], {}, "matmul: a must be (..., rows, inner), got (3)");
  refused(
    [7, 3, 2],
    [3, 5],
    { transposeA: true },
    "matmul: a must be (inner, rows) to be transposed and share one b, got (7, 3, 2). " +
      "Give b the leading sizes of a.",
  );
  refused([2, 0], [0, 5], {}, "matmul: every size must be at least 1, got a (2, 0) and b (0, 5)");
});

test("results and gradients do not depend on the number of threads", async () => {
  const problems = [
    { batch: 0, rows: 3, inner: 200, columns: 500 },
    { batch: 0, rows: 300, inner: 70, columns: 36 },
    { batch: 5, rows: 40, inner: 30, columns: 50 },
  ];
  for (const { name } of ordered) {
    const results = [];
    for (const threads of [1, 2, 3]) {
      const device = await openDevice({ device: name, threads }); // one at a time: a process has one native memory
      for (const problem of problems) {
        for (const layout of layouts) {
          const inputs = inputsOf(problem, layout, noise);
          results.push(await evaluate(device, matmulOp, inputs, layout));
        }
      }
      await device.dispose();
    }
    const each = problems.length * layouts.length;
    assert.deepEqual(results.slice(each, 2 * each), results.slice(0, each), `${name}, 2 threads`);
    assert.deepEqual(results.slice(2 * each), results.slice(0, each), `${name}, 3 threads`);
  }
});

test("two runs on the GPU give the same bits", async () => {
  for (const gpu of gpus.slice(-1)) {
    const inputs = inputsOf({ batch: 2, rows: 9, inner: 1030, columns: 35 }, {}, noise);
    const [first, second] = [await product(gpu, inputs, {}), await product(gpu, inputs, {})];
    assert.deepEqual(first, second);
  }
});

/** Exact products, each sum rounded to f32: what the plain loops do with numbers of eight bits. */
async function expectChains(sizes: Problem, layout: Transposes): Promise<void> {
  const inputs = inputsOf(sizes, layout);
  const chains = await product(devices[0], inputs, layout);
  for (const device of ordered) assert.deepEqual(await product(device, inputs, layout), chains, device.name);
}

async function product(device: Device, [a, b]: readonly Input[], layout: Transposes): Promise<Numbers> {
  return matmul(device.tensor(a.values, a.shape), device.tensor(b.values, b.shape), layout).read();
}
