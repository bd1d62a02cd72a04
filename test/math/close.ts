import assert from "node:assert/strict";
import fc from "fast-check";

/** Asserts |x − g| ≤ tolerance · max(1, largest |g|), entry by entry. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  const bound = tolerance * Array.from(expected).reduce((most, g) => Math.max(most, Math.abs(g)), 1);
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(actual[i] - expected[i]);
    assert.ok(off <= bound, `[${i}]: ${actual[i]} is not ${expected[i]} ± ${bound}`);
  }
}

/** A vector of `length` numbers from −size to size. */
export function vector(length: number, size = 2): fc.Arbitrary<Float64Array> {
  const entry = fc.double({ min: -size, max: size, noNaN: true });
  return fc.array(entry, { minLength: length, maxLength: length }).map((x) => Float64Array.from(x));
}
