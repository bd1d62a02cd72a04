import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { textTask } from "../../src/data/text.ts";
import { assertFits, even } from "../fits.ts";

/** A text whose bytes tell their own place. */
const ramp = Uint8Array.from({ length: 100 }, (_, place) => place);

test("the target of each byte is the next byte", () => {
  const { tokens, targets } = textTask(ramp, { seed: 1 }).train(0, 50, 7);
  for (let i = 0; i < tokens.length; i++) {
    assert.equal(targets[i], tokens[i] + 1);
    if (i % 7 !== 0) assert.equal(tokens[i], targets[i - 1]);
  }
});

test("the tail is for validation, and no window crosses the cut", () => {
  const task = textTask(ramp, { seed: 2, validationFraction: 0.25 });
  const seen = ({ tokens, targets }: { tokens: Int32Array; targets: Int32Array }) =>
    [...new Set([...tokens, ...targets])].sort((a, b) => a - b);
  assert.deepEqual(seen(task.train(0, 2000, 5)), [...ramp.subarray(0, 75)]);
  assert.deepEqual(seen(task.validation(0, 2000, 5)), [...ramp.subarray(75)]);
});

test("every place of a window is as likely", () => {
  const task = textTask(ramp, { seed: 3, validationFraction: 0.5 });
  const { tokens } = task.train(0, 46_000, 4);
  const starts = new Int32Array(46); // 50 bytes hold 46 windows of 4 + 1
  for (let r = 0; r < 46_000; r++) starts[tokens[4 * r]]++;
  assertFits(starts, even(46));
});

test("a part of exactly length + 1 bytes holds one window", () => {
  const task = textTask(ramp, { seed: 4 });
  const { tokens, targets } = task.validation(0, 1, 9);
  assert.deepEqual([...tokens], [...ramp.subarray(90, 99)]);
  assert.deepEqual([...targets], [...ramp.subarray(91, 100)]);
});

test("an empty text is refused with the bytes it needs", () => {
  assert.throws(() => textTask(new Uint8Array(0), { seed: 0 }), {
    name: "RangeError",
    message:
      "text: a text for sequences of length 1 must have at least 20 bytes, 0.1 of them for validation, got 0. " +
      "Use a longer text.",
  });
});

test("a text too short for the length is refused at the first training batch", () => {
  assert.throws(() => textTask(new Uint8Array(1000), { seed: 0 }).train(0, 1, 512), {
    name: "RangeError",
    message:
      "text: a text for sequences of length 512 must have at least 5130 bytes, 0.1 of them for validation, " +
      "got 1000. Use a longer text or a shorter length.",
  });
});

test("the bytes that the error asks for are enough", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      fc.integer({ min: 10, max: 200 }),
      (validationFraction, length) => {
        /** The bytes that a text of this size is told to have; 0 if it has them. */
        const asked = (bytes: number): number => {
          try {
            textTask(new Uint8Array(bytes), { seed: 0, validationFraction }).train(0, 1, length);
            return 0;
          } catch (error) {
            return Number(/length \d+ must have at least (\d+) bytes/.exec(String(error))?.[1]);
          }
        };
        const enoughForOne = Math.ceil(2 / Math.min(validationFraction, 1 - validationFraction));
        const needed = asked(enoughForOne);
        assert.ok(needed > enoughForOne);
        assert.equal(asked(needed), 0);
      },
    ),
  );
});

test("a fraction that leaves nothing for one part is refused", () => {
  for (const validationFraction of [0, 1, -0.5, NaN]) {
    assert.throws(() => textTask(ramp, { seed: 0, validationFraction }), {
      name: "RangeError",
      message: `text: the validation fraction must be above 0 and below 1, got ${validationFraction}.`,
    });
  }
});
