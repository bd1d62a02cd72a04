import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { expm, identity, matmul, power, solve, transpose } from "../../src/math/linalg.ts";

/** Rounding of a few dozen operations on numbers near 1. */
const TOLERANCE = 1e-12;

/** Square matrices of 1 to 6 rows with entries in [−2, 2]. */
const square = fc
  .integer({ min: 1, max: 6 })
  .chain((N) => fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: N * N, maxLength: N * N }))
  .map((entries) => Float64Array.from(entries));

test("matmul multiplies rectangular matrices, by hand", () => {
  const X = Float64Array.of(1, 2, 3, 4, 5, 6);
  const Y = Float64Array.of(7, 8, 9, 10, 11, 12);
  assert.deepEqual(matmul(X, Y, 3), Float64Array.of(58, 64, 139, 154));
  assert.deepEqual(matmul(X, Float64Array.of(1, 0, -1), 3), Float64Array.of(-2, -2));
});

test("matmul says which sizes it expected", () => {
  assert.throws(() => matmul(new Float64Array(6), new Float64Array(4), 3), {
    name: "RangeError",
    message: "matmul: X must be (rows, inner) and Y (inner, columns) with inner = 3, got 6 and 4 numbers.",
  });
});

test("solve swaps rows where the leading pivot is zero", () => {
  assert.deepEqual(solve(Float64Array.of(0, 2, 1, 0), Float64Array.of(6, 5)), Float64Array.of(5, 3));
});

test("solve keeps its digits where elimination without pivoting loses them all", () => {
  const X = solve(Float64Array.of(1e-20, 1, 1, 1), Float64Array.of(1, 2));
  assertClose(X, Float64Array.of(1, 1), TOLERANCE);
});

test("solve returns X with A X = B for several right-hand sides and leaves its arguments alone", () => {
  fc.assert(
    fc.property(square, (entries) => {
      const N = Math.sqrt(entries.length);
      const A = entries.map((x, i) => x + (i % (N + 1) === 0 ? 2 * N + 1 : 0)); // diagonally dominant: never singular
      const X = Float64Array.from({ length: N * 3 }, (_, i) => Math.sin(i));
      const B = matmul(A, X, N);
      const before = [A.slice(), B.slice()];
      assertClose(solve(A, B), X, TOLERANCE);
      assert.deepEqual([A, B], before);
    }),
  );
});

test("solve refuses a singular, an empty and a mismatched matrix", () => {
  assert.throws(() => solve(Float64Array.of(1, 2, 2, 4), Float64Array.of(1, 1)), {
    name: "RangeError",
    message: "solve: A must be invertible, got a singular (2, 2) matrix.",
  });
  assert.throws(() => solve(new Float64Array(0), new Float64Array(0)), {
    name: "RangeError",
    message: "solve: A must be a square matrix (N, N) with N ≥ 1, got 0 numbers.",
  });
  assert.throws(() => solve(identity(2), new Float64Array(3)), {
    name: "RangeError",
    message: "solve: B must be (N, columns) with N = 2, got 3 numbers.",
  });
});

test("expm of a diagonal matrix is the exponential of its entries, through any number of squarings", () => {
  for (const a of [0, 1e-300, -1e-9, 0.3, -4, 20, -700]) {
    const E = expm(Float64Array.of(a, 0, 0, 1));
    assertClose(E, Float64Array.of(Math.exp(a), 0, 0, Math.E), 1e-13 * Math.max(1, Math.exp(a)));
  }
});

test("expm of a rotation generator is the rotation", () => {
  for (const angle of [1e-3, 1, 30]) {
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    assertClose(expm(Float64Array.of(0, -angle, angle, 0)), Float64Array.of(c, -s, s, c), TOLERANCE);
  }
});

test("expm of a nilpotent matrix is its finite power series", () => {
  const N = Float64Array.of(0, 3, 5, 0, 0, 7, 0, 0, 0);
  assertClose(expm(N), Float64Array.of(1, 3, 5 + 21 / 2, 0, 1, 7, 0, 0, 1), 1e-11);
});

test("expm equals the Taylor series where that converges fast", () => {
  fc.assert(
    fc.property(square, (entries) => {
      const N = Math.sqrt(entries.length);
      const A = entries.map((x) => x / (2 * N));
      let term = identity(N);
      let sum = identity(N);
      for (let k = 1; k <= 25; k++) {
        term = matmul(term, A, N).map((x) => x / k);
        sum = sum.map((x, i) => x + term[i]);
      }
      assertClose(expm(A), sum, TOLERANCE);
    }),
  );
});

test("expm(A) expm(−A) is the identity", () => {
  fc.assert(
    fc.property(square, (A) => {
      const N = Math.sqrt(A.length);
      const [forth, back] = [expm(A), expm(A.map((x) => -x))];
      const size = Math.max(...forth.map(Math.abs)) * Math.max(...back.map(Math.abs));
      assertClose(matmul(forth, back, N), identity(N), 1e-12 * size);
    }),
  );
});

test("expm refuses numbers that are not finite instead of squaring forever", () => {
  for (const bad of [Infinity, NaN]) {
    assert.throws(() => expm(Float64Array.of(bad, 0, 0, 1)), {
      name: "RangeError",
      message: /^expm: A must be finite/,
    });
  }
  assert.throws(() => expm(new Float64Array(3)), {
    name: "RangeError",
    message: "expm: A must be a square matrix (N, N) with N ≥ 1, got 3 numbers.",
  });
});

test("transpose turns rows into columns, and back", () => {
  const A = Float64Array.of(1, 2, 3, 4, 5, 6);
  assert.deepEqual([...transpose(A, 3)], [1, 4, 2, 5, 3, 6]);
  assert.deepEqual(transpose(transpose(A, 3), 2), A);
});

test("power is a product of k factors, and none of them is I", () => {
  fc.assert(
    fc.property(square, fc.integer({ min: 0, max: 6 }), (entries, k) => {
      const N = Math.sqrt(entries.length);
      const A = entries.map((x) => x / (2 * N));
      let product = identity(N);
      for (let i = 0; i < k; i++) product = matmul(product, A, N);
      assertClose(power(A, k), product, TOLERANCE);
    }),
  );
});

test("power refuses a k that is not whole or below 0", () => {
  for (const k of [-1, 0.5]) {
    assert.throws(() => power(identity(2), k), {
      name: "RangeError",
      message: `power: k must be a whole number ≥ 0, got ${k}.`,
    });
  }
});

function assertClose(actual: Float64Array, expected: Float64Array, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((x, i) => {
    assert.ok(Math.abs(x - expected[i]) <= tolerance, `[${i}]: ${x} is not ${expected[i]} ± ${tolerance}`);
  });
}
