import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { inductionHeads } from "../../src/data/inductionHeads.ts";
import { ignore } from "../../src/data/task.ts";
import { assertFits, even } from "../fits.ts";

test("at length 3 the only form is: special, answer, special", () => {
  const { tokens, targets } = inductionHeads({ seed: 1 }).train(0, 200, 3);
  for (let r = 0; r < 200; r++) {
    const [first, answer, last] = tokens.subarray(r * 3, r * 3 + 3);
    assert.deepEqual([first, last], [15, 15]);
    assert.deepEqual([...targets.subarray(r * 3, r * 3 + 3)], [ignore, ignore, answer]);
  }
});

test("the special token stands twice, the second time last, and the answer is what followed it", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(1000),
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 3, max: 300 }),
      (seed, index, vocabulary, length) => {
        const task = inductionHeads({ seed, vocabulary });
        const { tokens, targets, ...sizes } = task.validation(index, 2, length);
        assert.deepEqual(sizes, { batch: 2, length });
        for (const start of [0, length]) {
          const said = [...tokens.subarray(start, start + length)];
          const asked = [...targets.subarray(start, start + length)];
          const special = vocabulary - 1;
          const places = said.flatMap((token, t) => (token === special ? [t] : []));
          assert.ok(said.every((token) => token >= 0 && token < vocabulary));
          assert.equal(places.length, 2);
          assert.equal(places[1], length - 1);
          assert.equal(asked.pop(), said[places[0] + 1]);
          assert.ok(asked.every((target) => target === ignore));
        }
      },
    ),
  );
});

test("every place of the first special token and every other token are as likely", () => {
  const [batch, length] = [20_000, 12];
  const { tokens, targets } = inductionHeads({ seed: 2 }).train(0, batch, length);
  const places = new Int32Array(length - 2);
  const answers = new Int32Array(15);
  const others = new Int32Array(15);
  for (let r = 0; r < batch; r++) {
    const said = tokens.subarray(r * length, (r + 1) * length);
    places[said.indexOf(15)]++;
    answers[targets[(r + 1) * length - 1]]++;
    for (const token of said) if (token !== 15) others[token]++;
  }
  assertFits(places, even(length - 2));
  assertFits(answers, even(15));
  assertFits(others, even(15));
});

test("the paper's longest sequence, 2²⁰ tokens, is made like any other", () => {
  const length = 2 ** 20;
  const { tokens, targets } = inductionHeads({ seed: 3 }).validation(0, 1, length);
  assert.equal(targets[length - 1], tokens[tokens.indexOf(15) + 1]);
  assert.equal(tokens.lastIndexOf(15), length - 1);
});

test("a vocabulary without a second token and a length without an answer are refused", () => {
  assert.throws(() => inductionHeads({ seed: 0, vocabulary: 1 }), {
    name: "RangeError",
    message: "induction-heads: the vocabulary must be an integer of at least 2, got 1.",
  });
  assert.throws(() => inductionHeads({ seed: 0 }).train(0, 1, 2), {
    name: "RangeError",
    message: "induction-heads: the length must be an integer of at least 3, got 2.",
  });
});
