import assert from "node:assert/strict";

/**
 * Asserts that counts could have been drawn with these probabilities: Pearson's chi-square, whose bound
 * (Wilson & Hilferty 1931, four standard deviations) a right source passes all but three times in 100 000.
 */
export function assertFits(counts: ArrayLike<number>, probabilities: ArrayLike<number>): void {
  const draws = Array.from(counts).reduce((a, b) => a + b, 0);
  let chiSquare = 0;
  let freedom = -1;
  for (let i = 0; i < counts.length; i++) {
    const expected = draws * probabilities[i];
    if (expected === 0) {
      assert.equal(counts[i], 0, `${counts[i]} draws of ${i}, which has no probability`);
      continue;
    }
    chiSquare += (counts[i] - expected) ** 2 / expected;
    freedom++;
  }
  if (freedom === 0) return;
  const spread = 2 / (9 * freedom);
  const bound = freedom * (1 - spread + 4 * Math.sqrt(spread)) ** 3;
  assert.ok(chiSquare < bound, `chi-square ${chiSquare.toFixed(1)} must be below ${bound.toFixed(1)}`);
}

/** n equal probabilities. */
export const even = (n: number): Float64Array => new Float64Array(n).fill(1 / n);

/** How often `draw`, called `draws` times, gave each of 0, 1, …, n − 1. */
export function histogram(n: number, draws: number, draw: (i: number) => number): Int32Array {
  const counts = new Int32Array(n);
  for (let i = 0; i < draws; i++) {
    const value = draw(i);
    assert.ok(Number.isInteger(value) && value >= 0 && value < n, `drew ${value}, not one of ${n}`);
    counts[value]++;
  }
  return counts;
}
