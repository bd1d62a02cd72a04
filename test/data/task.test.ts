import assert from "node:assert/strict";
import { test } from "node:test";

import { type Batch, expectInteger, ignore, sequenceTask } from "../../src/data/task.ts";

const dice = (seed: number) =>
  sequenceTask({
    name: "dice",
    vocabulary: 2 ** 31,
    seed,
    rowLength(length) {
      expectInteger("dice", "the length", length, 1);
      return length;
    },
    row(random, tokens, targets) {
      for (let t = 0; t < tokens.length; t++) tokens[t] = random.integer(2 ** 31);
      targets[0] = tokens[0];
    },
  });

const row = ({ length, tokens }: Batch, r: number) => [...tokens.subarray(r * length, (r + 1) * length)];

test("a batch is row-major, and a target that the task leaves alone is ignored", () => {
  const { batch, length, tokens, targets } = dice(1).train(0, 2, 3);
  assert.deepEqual([batch, length, tokens.length], [2, 3, 6]);
  assert.deepEqual([...targets], [tokens[0], ignore, ignore, tokens[3], ignore, ignore]);
});

test("the same seed and index give the same batch, asked for in any order", () => {
  const task = dice(2);
  const forward = [0, 1, 2].map((index) => task.train(index, 4, 5));
  const backward = [2, 1, 0].map((index) => dice(2).train(index, 4, 5)).reverse();
  assert.deepEqual(forward, backward);
});

test("a row is the same in a batch of any size", () => {
  for (const index of [0, 7]) {
    const large = dice(3).validation(index, 8, 5);
    const small = dice(3).validation(index, 3, 5);
    for (let r = 0; r < 3; r++) assert.deepEqual(row(small, r), row(large, r));
  }
});

test("no two rows of any batch, split or seed are drawn from the same numbers", () => {
  const drawn = [4, 5].flatMap((seed) =>
    [0, 1, 2, 3].flatMap((index) => [
      ...dice(seed).train(index, 4, 2).tokens,
      ...dice(seed).validation(index, 4, 2).tokens,
    ]),
  );
  assert.equal(new Set(drawn).size, 2 * 4 * 2 * 4 * 2);
});

test("a seed, an index, a batch or a length out of range is refused by name", () => {
  const refused = (act: () => unknown, message: string) =>
    assert.throws(act, { name: "RangeError", message });
  refused(() => dice(-1), "dice: the seed must be an integer of at least 0, got -1.");
  refused(() => dice(0).train(-1, 1, 1), "dice: the index must be an integer of at least 0, got -1.");
  refused(() => dice(0).train(0, 0, 1), "dice: the batch must be an integer of at least 1, got 0.");
  refused(() => dice(0).train(0, 1, 1.5), "dice: the length must be an integer of at least 1, got 1.5.");
});
