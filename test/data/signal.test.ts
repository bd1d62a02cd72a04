import assert from "node:assert/strict";
import { test } from "node:test";

import { generatedSignals } from "../../src/data/signal.ts";

const dice = (seed: number) =>
  generatedSignals({
    name: "dice",
    seed,
    channels: 2,
    outputs: 3,
    asked: () => 1,
    row(random, inputs, targets) {
      for (let i = 0; i < inputs.length; i++) inputs[i] = random.uniform();
      targets[1] = inputs[0];
    },
  });

test("a batch is row-major, and an answer that the task leaves alone is 0", () => {
  const { inputs, targets } = dice(1).train(0, 2, 4);
  assert.equal(inputs.length, 16);
  assert.deepEqual([...targets], [0, inputs[0], 0, 0, inputs[8], 0]);
});

test("a row is the same in a batch of any size, and no two rows or splits are the same", () => {
  const large = dice(3).validation(7, 8, 5);
  const small = dice(3).validation(7, 3, 5);
  assert.deepEqual(small.inputs, large.inputs.subarray(0, 30));
  const firsts = [dice(3), dice(4)].flatMap((task) =>
    [0, 1].flatMap((index) => [...task.train(index, 3, 1).targets, ...task.validation(index, 3, 1).targets]),
  );
  assert.equal(new Set(firsts.filter((value) => value !== 0)).size, 24);
});

test("a seed, an index or a batch out of range is refused by name", () => {
  assert.throws(() => dice(-1), {
    name: "RangeError",
    message: "dice: the seed must be an integer of at least 0, got -1.",
  });
  assert.throws(() => dice(0).train(0.5, 1, 1), {
    name: "RangeError",
    message: "dice: the index must be an integer of at least 0, got 0.5.",
  });
  assert.throws(() => dice(0).train(0, 0, 1), {
    name: "RangeError",
    message: "dice: the batch must be an integer of at least 1, got 0.",
  });
});
