import assert from "node:assert/strict";
import { test } from "node:test";

import { classificationTask } from "../../src/data/classification.ts";
import type { LabelledSequences } from "../../src/data/labelledSequences.ts";
import { ignore } from "../../src/data/task.ts";

/** `each` sequences of three classes; sequence i is i + 1 long and of values i. */
const data = (each: number): LabelledSequences => ({
  source: "a.csv",
  classes: ["a", "b", "c"],
  inputs: ["x"],
  sequences: Array.from({ length: 3 * each }, (_, i) => ({
    name: String(i),
    label: i % 3,
    values: new Float32Array(i + 1).fill(i),
  })),
});

test("each class gives its part to validation, whose batches go through it once", () => {
  const task = classificationTask(data(10), { seed: 1, validationFraction: 0.2 });
  assert.deepEqual(task.sizes, { train: 24, validation: 6 });
  assert.equal(task.longest, 30);
  const targets = [0, 1, 2].flatMap((index) => [...task.validation(index, 4, 30).targets]);
  assert.deepEqual(targets.slice(0, 6).sort(), [0, 0, 1, 1, 2, 2]);
  assert.deepEqual(targets.slice(6), Array<number>(6).fill(ignore));
});

test("no sequence is both learned and validated, for any seed", () => {
  for (const seed of [1, 2, 3]) {
    const task = classificationTask(data(5), { seed, validationFraction: 0.4 });
    const lengthsOf = ({ lengths, targets }: { lengths?: Int32Array; targets: Int32Array }) =>
      [...(lengths ?? [])].filter((_, b) => targets[b] !== ignore);
    const trained = new Set([0, 1, 2, 3].flatMap((index) => lengthsOf(task.train(index, 50, 15))));
    const validated = lengthsOf(task.validation(0, 15, 15)); // here a length names a sequence
    assert.equal(validated.length, 6);
    assert.equal(trained.size, 9);
    assert.ok(validated.every((length) => !trained.has(length)));
  }
});

test("sequences stand at the beginning of their rows, standardised by the training ones; gaps have a mask", () => {
  const two: LabelledSequences = {
    source: "a.csv",
    classes: ["a", "b"],
    inputs: ["x", "y"],
    sequences: [0, 0, 1].map((label, i) => ({
      name: String(i),
      label,
      values: Float32Array.of(1, 10, NaN, 10, 3, 10),
    })),
  };
  const { inputs, lengths } = classificationTask(two, { seed: 0 }).validation(0, 2, 4);
  const row = [-1, 1, 0, -1, 0, 0, 1, 1, 0, 0, 0, 0];
  assert.deepEqual([...inputs], [...row, ...Array<number>(12).fill(0)]);
  assert.deepEqual([...(lengths ?? [])], [3, 1]);
});

test("longer sequences are cut behind the length that is asked for", () => {
  const { lengths } = classificationTask(data(10), { seed: 1 }).validation(0, 6, 5);
  assert.ok(lengths?.every((length) => length <= 5));
});

test("a fraction that leaves nothing, and classes of one sequence each, are refused", () => {
  assert.throws(() => classificationTask(data(2), { seed: 0, validationFraction: 1 }), {
    name: "RangeError",
    message: "classify: the validation fraction must be above 0 and below 1, got 1.",
  });
  assert.throws(() => classificationTask(data(1), { seed: 0 }), {
    name: "RangeError",
    message: "classify: a.csv must have at least 2 sequences of some class, one to validate with.",
  });
});
