import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { copying } from "../../src/data/copying.ts";
import { ignore } from "../../src/data/task.ts";

test("the data stands first, then blanks, then as many queries, whose targets are the data in order", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 3, max: 40 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(50),
      (seed, vocabulary, memorize, room) => {
        const task = copying({ seed, vocabulary, memorize });
        const { batch, length, tokens, targets } = task.train(3, 2, memorize + room);
        assert.deepEqual([batch, length], [2, 2 * memorize + room]);
        for (const start of [0, length]) {
          const said = [...tokens.subarray(start, start + length)];
          const data = said.slice(0, memorize);
          assert.ok(data.every((token) => token >= 1 && token <= vocabulary - 2));
          assert.deepEqual(said.slice(memorize), [
            ...Array<number>(room).fill(0),
            ...Array<number>(memorize).fill(vocabulary - 1),
          ]);
          assert.deepEqual(
            [...targets.subarray(start, start + length)],
            [...Array<number>(memorize + room).fill(ignore), ...data],
          );
        }
      },
    ),
  );
});

test("the defaults are 1024 of 64 tokens, and what has no room or no data is refused", () => {
  assert.equal(copying({ seed: 1 }).train(0, 1, 1024).length, 2048);
  assert.throws(() => copying({ seed: 0 }).train(0, 1, 1023), {
    name: "RangeError",
    message: "copying: the length must be an integer of at least 1024, got 1023.",
  });
  assert.throws(() => copying({ seed: 0, vocabulary: 2 }), {
    name: "RangeError",
    message: "copying: the vocabulary must be an integer of at least 3, got 2.",
  });
});
