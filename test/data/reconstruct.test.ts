import assert from "node:assert/strict";
import { test } from "node:test";

import { reconstruct } from "../../src/data/reconstruct.ts";

test("the target is the last `memory` samples, oldest first, asked once at the end", () => {
  const task = reconstruct({ seed: 1, memory: 4, dt: 0.1, frequency: 2 });
  const { asked, outputs, inputs, targets } = task.train(0, 3, 10);
  assert.deepEqual([asked, outputs, targets.length], [1, 4, 12]);
  for (const r of [0, 1, 2]) {
    const end = 10 * (r + 1);
    assert.deepEqual([...targets.subarray(4 * r, 4 * r + 4)], [...inputs.subarray(end - 4, end)]);
  }
});

test("a signal shorter than the memory is refused", () => {
  assert.throws(() => reconstruct({ seed: 0 }).train(0, 1, 999), {
    name: "RangeError",
    message: "reconstruct: the length must be an integer of at least 1000, got 999.",
  });
});
