import assert from "node:assert/strict";
import { test } from "node:test";
import { at, inverse, permute, stack } from "../../../scripts/goldens/layout.ts";

/** 0, 1, 2, … of shape (2, 3, 4): the value at (i, j, k) is 12 i + 4 j + k. */
const counted = { shape: [2, 3, 4], data: Float64Array.from({ length: 24 }, (_, i) => i) };

test("permute moves axes as NumPy's transpose does, and keeps the type of the numbers", () => {
  const { shape, data } = permute(counted, [2, 0, 1]);
  assert.deepEqual(shape, [4, 2, 3]);
  for (let i = 0; i < 2; i++) {
    for (let j = 0; j < 3; j++) {
      for (let k = 0; k < 4; k++) assert.equal(data[k * 6 + i * 3 + j], 12 * i + 4 * j + k);
    }
  }
  assert.ok(permute({ shape: [1, 2], data: Int32Array.of(1, 2) }, [1, 0]).data instanceof Int32Array);
});

test("permute with the inverse order gives the values back", () => {
  for (const order of [
    [0, 1, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ]) {
    assert.deepEqual(permute(permute(counted, order), inverse(order)), counted);
  }
});

test("stack puts back together what at takes apart", () => {
  assert.deepEqual(at(counted, 1).data, counted.data.slice(12));
  assert.deepEqual(stack([at(counted, 0), at(counted, 1)]), counted);
});
