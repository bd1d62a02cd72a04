import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fft, ifft, irfft, naiveDft, rfft, rootOfUnity } from "../../src/math/fft.ts";

/** Rounding grows with log n in a fast transform, with √n in the naive one; relative to the largest number. */
const TOLERANCE = 1e-14;

const noise = (count: number, seed = 1) =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed) ** 3);

test("four points by hand", () => {
  assert.deepEqual(
    fft(Float64Array.of(1, 0, 2, 0, 3, 0, 4, 0)),
    Float64Array.of(10, 0, -2, 2, -2, 0, -2, -2),
  );
  assert.deepEqual(rfft(Float64Array.of(1, 2, 3, 4)), Float64Array.of(10, 0, -2, 2, -2, 0));
  assert.deepEqual(irfft(Float64Array.of(10, 0, -2, 2, -2, 0), 4), Float64Array.of(1, 2, 3, 4));
  assert.deepEqual(fft(Float64Array.of(5, -7)), Float64Array.of(5, -7));
});

test("fft is the naive sum at every length, powers of two, primes and the rest", () => {
  for (let n = 1; n <= 130; n++) {
    const x = noise(2 * n, n);
    assertClose(fft(x), naiveDft(x));
  }
});

test("ifft undoes fft, and irfft rfft, at any length; arguments are left alone", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), (n) => {
      const x = noise(2 * n);
      const real = noise(n);
      assertClose(ifft(fft(x)), x);
      assertClose(irfft(rfft(real), n), real);
      assert.deepEqual([x, real], [noise(2 * n), noise(n)]);
    }),
    { numRuns: 40 },
  );
});

test("rfft is the first half of fft, and the second is its mirror image", () => {
  for (const n of [1, 2, 7, 8, 12, 45]) {
    const x = noise(n);
    const whole = fft(Float64Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? x[i / 2] : 0)));
    const half = Math.floor(n / 2);
    assert.deepEqual(rfft(x), whole.slice(0, 2 * half + 2));
    for (let k = 1; k < n; k++) {
      assert.ok(Math.abs(whole[2 * k] - whole[2 * (n - k)]) < TOLERANCE * n);
      assert.ok(Math.abs(whole[2 * k + 1] + whole[2 * (n - k) + 1]) < TOLERANCE * n);
    }
  }
});

test("a product of spectra is a circular convolution", () => {
  const [n, a, b] = [15, noise(15, 1), noise(15, 2)];
  const [A, B] = [rfft(a), rfft(b)];
  const product = A.map((v, i) =>
    i % 2 === 0 ? v * B[i] - A[i + 1] * B[i + 1] : A[i - 1] * B[i] + v * B[i - 1],
  );
  const expected = a.map((_, t) => a.reduce((sum, v, s) => sum + v * b[(t - s + n) % n], 0));
  assertClose(irfft(product, n), expected);
});

test("a million points lose no more than two digits of sixteen", () => {
  const n = 2 ** 20;
  const x = noise(n);
  assertClose(irfft(rfft(x), n), x);
});

test("roots of unity are exact at the quarters and go round the other way from there", () => {
  const quarters = [0, 1, 2, 3, 4, 5].map((k) => rootOfUnity(k * 25, 100).map((v) => v + 0));
  assert.deepEqual(quarters, [[1, 0], [0, -1], [-1, 0], [0, 1], [1, 0], [0, -1]]); // prettier-ignore
  const [re, im] = rootOfUnity(1, 8);
  assert.ok(Math.abs(re - Math.SQRT1_2) < 2e-16 && Math.abs(im + Math.SQRT1_2) < 2e-16);
});

test("the imaginary parts that no real sequence has are ignored", () => {
  assert.deepEqual(irfft(Float64Array.of(10, 9, -2, 2, -2, 9), 4), Float64Array.of(1, 2, 3, 4));
  assert.deepEqual(irfft(Float64Array.of(3, 9), 1), Float64Array.of(3));
});

test("sizes that are none are refused", () => {
  const refuses = (fn: () => unknown, message: string) => assert.throws(fn, { name: "RangeError", message });
  refuses(
    () => fft(new Float64Array(3)),
    "fft: a complex sequence must be (n, 2) with n ≥ 1, got 3 numbers.",
  );
  refuses(
    () => ifft(new Float64Array(0)),
    "ifft: a complex sequence must be (n, 2) with n ≥ 1, got 0 numbers.",
  );
  refuses(
    () => rfft(new Float64Array(0)),
    "fft: a complex sequence must be (n, 2) with n ≥ 1, got 0 numbers.",
  );
  refuses(
    () => irfft(new Float64Array(4), 4),
    "irfft: X must be (⌊n/2⌋ + 1, 2) with n ≥ 1, got 4 numbers for n = 4.",
  );
});

function assertClose(actual: Float64Array, expected: Float64Array): void {
  assert.equal(actual.length, expected.length);
  const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-300);
  const gap = actual.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i])), 0);
  assert.ok(gap <= TOLERANCE * scale, `off by ${gap / scale} of the largest, n about ${expected.length}`);
}
