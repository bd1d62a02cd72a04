import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { selectiveCopying } from "../../src/data/selectiveCopying.ts";
import { ignore } from "../../src/data/task.ts";
import { assertFits, even } from "../fits.ts";

test("without room for noise, the data stands first, then the queries", () => {
  const { length, tokens, targets } = selectiveCopying({ seed: 1, memorize: 3 }).train(0, 1, 3);
  const [a, b, c] = tokens;
  assert.equal(length, 6);
  assert.deepEqual([...tokens], [a, b, c, 15, 15, 15]);
  assert.deepEqual([...targets], [ignore, ignore, ignore, a, b, c]);
});

test("in the paper's setting the batch is 4096 tokens with 16 data, then 16 queries", () => {
  const { length, tokens, targets } = selectiveCopying({ seed: 2 }).train(0, 1, 4096);
  assert.equal(length, 4096 + 16);
  assert.equal(tokens.subarray(0, 4096).filter((token) => token !== 0).length, 16);
  assert.ok(tokens.subarray(4096).every((token) => token === 15));
  assert.equal(targets.filter((target) => target !== ignore).length, 16);
});

test("the targets of the queries are the data in order, and nothing else is asked", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(1000),
      fc.integer({ min: 3, max: 40 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(100),
      (seed, index, vocabulary, memorize, room) => {
        const task = selectiveCopying({ seed, vocabulary, memorize });
        const { batch, length, tokens, targets } = task.validation(index, 2, memorize + room);
        assert.deepEqual([batch, length], [2, 2 * memorize + room]);
        for (const start of [0, length]) {
          const said = [...tokens.subarray(start, start + length)];
          const asked = [...targets.subarray(start, start + length)];
          const data = said.slice(0, -memorize).filter((token) => token !== 0);
          assert.ok(data.every((token) => token >= 1 && token <= vocabulary - 2));
          assert.ok(said.slice(-memorize).every((token) => token === vocabulary - 1));
          assert.deepEqual(asked.slice(-memorize), data);
          assert.ok(asked.slice(0, -memorize).every((target) => target === ignore));
        }
      },
    ),
  );
});

test("every subset of places and every data token are as likely", () => {
  const [batch, places] = [20_000, 5];
  const { length, tokens } = selectiveCopying({ seed: 3, memorize: 2 }).train(0, batch, places);
  const subsets = new Map<string, number>();
  const data = new Int32Array(14);
  for (let r = 0; r < batch; r++) {
    const said = [...tokens.subarray(r * length, r * length + places)];
    const subset = said.map((token) => (token === 0 ? "." : "x")).join("");
    subsets.set(subset, (subsets.get(subset) ?? 0) + 1);
    for (const token of said) if (token !== 0) data[token - 1]++;
  }
  assert.equal(subsets.size, 10); // two of five
  assertFits([...subsets.values()], even(10));
  assertFits(data, even(14));
});

test("a vocabulary without data, nothing to memorize and too short a length are refused", () => {
  const refused = (act: () => unknown, message: string) =>
    assert.throws(act, { name: "RangeError", message });
  refused(
    () => selectiveCopying({ seed: 0, vocabulary: 2 }),
    "selective-copying: the vocabulary must be an integer of at least 3, got 2.",
  );
  refused(
    () => selectiveCopying({ seed: 0, memorize: 0 }),
    "selective-copying: memorize must be an integer of at least 1, got 0.",
  );
  refused(
    () => selectiveCopying({ seed: 0 }).train(0, 1, 15),
    "selective-copying: the length must be an integer of at least 16, got 15.",
  );
});
