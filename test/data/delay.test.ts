import assert from "node:assert/strict";
import { test } from "node:test";

import { delay } from "../../src/data/delay.ts";

test("the target is the input of `lag` samples ago, and 0 before there was one", () => {
  const task = delay({ seed: 1, lag: 3, dt: 0.1, frequency: 2 });
  const { length, asked, channels, outputs, inputs, targets } = task.train(0, 2, 10);
  assert.deepEqual([length, asked, channels, outputs], [10, 10, 1, 1]);
  for (const start of [0, 10]) {
    const own = [...inputs.subarray(start, start + 10)];
    assert.deepEqual([...targets.subarray(start, start + 10)], [0, 0, 0, ...own.slice(0, 7)]);
    assert.ok(own.some((value) => value !== 0));
  }
});

test("the defaults make the paper's signals of length 4000 with lag 1000", () => {
  const { inputs, targets } = delay({ seed: 2 }).validation(0, 1, 4000);
  assert.equal(targets[1500], inputs[500]);
});

test("a lag that no sample has and a band without frequencies are refused", () => {
  const refused = (act: () => unknown, message: string) =>
    assert.throws(act, { name: "RangeError", message });
  refused(() => delay({ seed: 0, lag: 0 }), "delay: the lag must be an integer of at least 1, got 0.");
  refused(
    () => delay({ seed: 0, lag: 100 }).train(0, 1, 100),
    "delay: the length must be an integer of at least 101, got 100.",
  );
  refused(
    () => delay({ seed: 0, lag: 2, dt: 0.25, frequency: 3 }).train(0, 1, 8),
    "delay: the frequency must be from 1/(length dt) = 0.5 to 1/(2 dt) = 2, got 3. " +
      "Change the frequency, dt or the length.",
  );
});
