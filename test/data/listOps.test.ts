import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { listOps, listOpsTokens } from "../../src/data/listOps.ts";
import { type Batch, ignore } from "../../src/data/task.ts";

/** The words of row r, blanks left out. */
function wordsOf({ length, tokens }: Batch, r: number): string[] {
  const words = [...tokens.subarray(r * length, (r + 1) * length)].map((token) => listOpsTokens[token]);
  const first = words.findIndex((word) => word !== " ");
  assert.ok(!words.slice(first).includes(" "), "blanks stand before the expression only");
  return words.slice(first);
}

/** The value of an expression, read with a stack, and how deep and wide it is. */
function valueOf(words: readonly string[]): { value: number; depth: number; widest: number } {
  const lists: { operator: string; values: number[] }[] = [{ operator: "", values: [] }];
  let [depth, widest] = [1, 0];
  for (const word of words) {
    if (word.startsWith("[")) lists.push({ operator: word.slice(1), values: [] });
    depth = Math.max(depth, lists.length);
    if (/^\d$/.test(word)) lists.at(-1)?.values.push(Number(word));
    if (word !== "]") continue;
    const { operator, values } = lists.pop() ?? { operator: "", values: [] };
    widest = Math.max(widest, values.length);
    assert.ok(values.length >= 2);
    values.sort((a, b) => a - b);
    const n = values.length;
    const middle = n % 2 === 1 ? values[(n - 1) / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    const sum = values.reduce((a, b) => a + b, 0);
    const results: Record<string, number> = {
      MIN: values[0],
      MAX: values[n - 1],
      MED: Math.trunc(middle),
      SM: sum % 10,
    };
    lists.at(-1)?.values.push(results[operator]);
  }
  assert.equal(lists.length, 1);
  assert.equal(lists[0].values.length, 1);
  return { value: lists[0].values[0], depth, widest };
}

test("the example of the paper has the value it says", () => {
  const words = "[MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]".split(" ");
  assert.deepEqual(valueOf(words), { value: 5, depth: 3, widest: 6 });
});

test("the target is the value of the expression, asked at its last token", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 2, max: 6 }),
      fc.integer({ min: 3, max: 8 }),
      (seed, depth, most) => {
        const task = listOps({ seed, maxDepth: depth, maxArguments: most, longerThan: 1 });
        const batch = task.train(0, 3, 40);
        for (const r of [0, 1, 2]) {
          const words = wordsOf(batch, r);
          assert.ok(words.length > 1 && words.length < 40);
          const found = valueOf(words);
          assert.ok(found.depth <= depth && found.widest <= most);
          const targets = [...batch.targets.subarray(40 * r, 40 * (r + 1))];
          assert.equal(targets.pop(), found.value);
          assert.ok(targets.every((target) => target === ignore));
        }
      },
    ),
  );
});

test("in the arena's setting expressions have between 500 and 2000 tokens", () => {
  const batch = listOps({ seed: 1 }).train(0, 4, 2000);
  for (const r of [0, 1, 2, 3]) {
    const words = wordsOf(batch, r);
    assert.ok(words.length > 500 && words.length < 2000, `${words.length}`);
    assert.equal(valueOf(words).value, batch.targets[2000 * (r + 1) - 1]);
  }
});

test("lengths that no expression has are refused", () => {
  assert.throws(() => listOps({ seed: 0 }).train(0, 1, 7), {
    name: "RangeError",
    message: "list-ops: the length must be an integer of at least 8, got 7.",
  });
  assert.throws(() => listOps({ seed: 0, maxDepth: 2, maxArguments: 2 }).train(0, 1, 100), {
    name: "RangeError",
    message:
      "list-ops: none of 100000 expressions has more than 25 and fewer than 100 tokens. " +
      "Allow more depth, more arguments or other lengths.",
  });
});
