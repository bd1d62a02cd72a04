import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  asComplex,
  asReal,
  at,
  type Complex,
  div,
  exp,
  expm1,
  mul,
  rootOfUnity,
  sub,
  withConjugates,
} from "../../src/math/complex.ts";
import { matmul } from "../../src/math/linalg.ts";
import { assertClose, vector } from "./close.ts";

/** A few operations on numbers near 1. */
const TOLERANCE = 1e-13;

test("div undoes mul, for numbers of any size whose quotient has one", () => {
  assert.deepEqual(mul([1, 2], [3, -1]), [5, 5]);
  assertClose(div([5, 5], [3, -1]), [1, 2], TOLERANCE);
  assertClose(div([1e200, 1e200], [1e200, 0]), [1, 1], TOLERANCE);
  assertClose(div([3e-200, 0], [0, 3e-200]), [0, -1], TOLERANCE);
});

test("expm1 is e^x − 1, and keeps every digit of a tiny x", () => {
  fc.assert(
    fc.property(vector(2), (x) => {
      const z: Complex = [x[0], x[1]];
      assertClose(expm1(z), sub(exp(z), [1, 0]), TOLERANCE);
    }),
  );
  const [re, im] = expm1([-1e-12, 2e-12]);
  assert.ok(Math.abs(re / -1e-12 - 1) < 1e-11 && Math.abs(im / 2e-12 - 1) < 1e-11);
});

test("a root of unity is one however large k is", () => {
  assertClose(rootOfUnity(3 + 7e14, 7), rootOfUnity(3, 7), TOLERANCE);
  assertClose(rootOfUnity(-2, 8), [0, -1], TOLERANCE);
});

test("asReal keeps products: (X Y) as real is X as real times Y as real", () => {
  const sizes = fc.record({ rows: fc.nat(4), inner: fc.nat(4), columns: fc.nat(4) });
  const pair = sizes.chain(({ rows, inner, columns }) =>
    fc.record({
      inner: fc.constant(inner + 1),
      columns: fc.constant(columns + 1),
      X: vector(2 * (rows + 1) * (inner + 1)),
      Y: vector(2 * (inner + 1) * (columns + 1)),
    }),
  );
  fc.assert(
    fc.property(pair, ({ inner, columns, X, Y }) => {
      const rows = X.length / 2 / inner;
      const product: number[] = [];
      for (let i = 0; i < rows * columns; i++) {
        let sum = [0, 0];
        for (let k = 0; k < inner; k++) {
          const term = mul(at(X, Math.floor(i / columns) * inner + k), at(Y, k * columns + (i % columns)));
          sum = [sum[0] + term[0], sum[1] + term[1]];
        }
        product.push(...sum);
      }
      const real = matmul(asReal(X, inner), asReal(Y, columns), 2 * inner);
      assertClose(asComplex(real, columns), product, TOLERANCE);
    }),
  );
});

test("withConjugates appends to each row its conjugates", () => {
  assert.deepEqual([...withConjugates(Float64Array.of(1, 2, 3, 4))], [1, 2, 3, 4, 1, -2, 3, -4]);
  assert.deepEqual([...withConjugates(Float64Array.of(1, 2, 3, 4), 1)], [1, 2, 1, -2, 3, 4, 3, -4]);
});
