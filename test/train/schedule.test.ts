import assert from "node:assert/strict";
import { test } from "node:test";

import { schedule } from "../../src/train/schedule.ts";

test("the rate rises linearly, then stays", () => {
  const rate = schedule({ name: "constant", learningRate: 2, warmup: 4, steps: 100 });
  assert.deepEqual([1, 2, 4, 5, 100].map(rate), [0.5, 1, 2, 2, 2]);
});

test("the cosine is at its middle half-way and at the floor from the last step on", () => {
  const rate = schedule({ name: "cosine", learningRate: 1, warmup: 0, steps: 100, floor: 0.2 });
  assert.ok(Math.abs(rate(50) - 0.6) < 1e-12);
  assert.ok(Math.abs(rate(100) - 0.2) < 1e-12);
  assert.equal(rate(500), rate(100));
});

test("a held rate begins its cosine after the hold", () => {
  const rate = schedule({ name: "cosine", learningRate: 1, warmup: 0, hold: 50, steps: 150, floor: 0 });
  assert.deepEqual([1, 50].map(rate), [1, 1]);
  assert.ok(Math.abs(rate(100) - 0.5) < 1e-12);
});

test("a rate that is not positive is refused", () => {
  assert.throws(() => schedule({ name: "constant", learningRate: 0, warmup: 0, steps: 1 }), {
    name: "UsageError",
    message: "train: the learning rate must be positive, got 0.",
  });
});
