import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { embedding, embeddingOp } from "../../src/ops/embedding.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { compareCalls, evaluate, integers, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

test("a token's vector is its column of the table, and the column's gradient the sum over its tokens", async () => {
  const device = exactDevice();
  const ids = device.integers([2, 0, 2], [1, 3]);
  const table = device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  let y = table;
  const { gradients: grads } = gradients([table], () => weigh([(y = embedding(ids, table))]));
  assert.deepEqual(y.shape, [1, 3, 2]);
  assert.deepEqual([...(await y.read())], [3, 6, 1, 4, 3, 6]);
  const c = Float32Array.from({ length: 6 }, (_, i) => Math.cos(i));
  const expected = [c[2], 0, c[0] + c[4], c[3], 0, c[1] + c[5]];
  assert.deepEqual([...(await grads.get(table)!.read())], expected);
});

test("every device computes what the plain loops compute, at any number of tokens and channels", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        (tokens, dModel, vocabulary, seed) =>
          compareCalls(
            device,
            embeddingOp,
            [integers(seed, vocabulary, tokens), normals(seed, dModel, vocabulary)],
            null,
          ),
      ),
      { numRuns: device.name === "webgpu" ? 4 : 20 }, // the GPU compiles for each table
    );
    const few = [integers(1, 16, 700), normals(2, 70, 16)];
    await compareCalls(device, embeddingOp, few, null);
    const large = [integers(1, 5000, 3, 20), normals(2, 20, 5000)];
    await compareCalls(device, embeddingOp, large, null);
  }
});

test("an id outside the vocabulary throws on the plain device and gives NaN for its token in the kernels", async () => {
  const inputs = (id: number) => [
    { shape: [3], values: [1, id, 0], integer: true },
    { shape: [2, 4], values: [0, 1, 2, 3, 4, 5, 6, 7] },
  ];
  for (const device of devices) {
    for (const id of [-1, 4]) {
      const run = evaluate(device, embeddingOp, inputs(id), null);
      if (device.name === "plain") {
        const message = `embedding: each id must be from 0 to 3, got ${id}. Does the tokenizer belong to this model?`;
        await assert.rejects(run, { name: "ShapeError", message });
        continue;
      }
      const found = await run;
      assert.deepEqual([...found.get("y")!], [1, 5, NaN, NaN, 0, 4], device.name);
      const c = Float32Array.from({ length: 6 }, (_, i) => Math.cos(i));
      assert.deepEqual(
        [...found.get("gradient of table")!],
        [c[4], c[0], 0, 0, c[5], c[1], 0, 0],
        device.name,
      );
    }
  }
});

test("a table that is not two-dimensional is refused", () => {
  const device = exactDevice();
  assert.throws(() => embedding(device.integers([0]), device.zeros([3])), {
    name: "ShapeError",
    message: "embedding: table must be (dModel, vocabulary), got (3)",
  });
});
