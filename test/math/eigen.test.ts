import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asComplex, asReal, at } from "../../src/math/complex.ts";
import { type Eigen, generalEigen, skewEigen } from "../../src/math/eigen.ts";
import { identity, matmul, transpose } from "../../src/math/linalg.ts";
import { random } from "../../src/math/random.ts";
import { assertClose, vector } from "./close.ts";

/** Backward error of an orthogonal method on matrices of a dozen rows. */
const TOLERANCE = 1e-12;

/** A skew matrix with blocks of zeros now and then, which split the problem. */
const skew = fc.integer({ min: 1, max: 12 }).chain((N) =>
  fc.tuple(vector(N * N), fc.integer({ min: 0, max: N }), fc.boolean()).map(([X, cut, split]) =>
    X.map((_, i) => {
      const [row, column] = [Math.floor(i / N), i % N];
      const apart = split && row < cut !== column < cut;
      return apart ? 0 : X[row * N + column] - X[column * N + row];
    }),
  ),
);

test("the rotation by a quarter turn has eigenvalues −i and i", () => {
  const { values, vectors } = skewEigen(Float64Array.of(0, -1, 1, 0));
  assertClose(values, [0, -1, 0, 1], TOLERANCE);
  const half = Math.SQRT1_2;
  assertClose(vectors, [half, 0, half, 0, 0, half, 0, -half], TOLERANCE);
});

test("a skew matrix is V diag(iμ) V*, V unitary, μ ascending", () => {
  fc.assert(
    fc.property(skew, (S) => {
      const N = Math.round(Math.sqrt(S.length));
      const { values, vectors } = skewEigen(S);
      for (let k = 1; k < N; k++) assert.ok(values[2 * k + 1] >= values[2 * k - 1]);
      const V = asReal(vectors, N);
      const adjoint = transpose(V, 2 * N);
      assertClose(matmul(adjoint, V, 2 * N), identity(2 * N), TOLERANCE);
      const S2 = matmul(matmul(V, asReal(diagonal(values), N), 2 * N), adjoint, 2 * N);
      assertClose(asComplex(S2, N), complex(S), TOLERANCE);
    }),
  );
});

test("every eigenvector of a skew matrix is turned so that its first large entry is positive", () => {
  fc.assert(
    fc.property(skew, (S) => {
      const N = Math.round(Math.sqrt(S.length));
      const { vectors } = skewEigen(S);
      for (let column = 0; column < N; column++) {
        const entries = Array.from({ length: N }, (_, row) => at(vectors, row * N + column));
        const largest = Math.max(...entries.map((entry) => Math.hypot(...entry)));
        const [re, im] = entries.find((entry) => Math.hypot(...entry) >= largest / 2) ?? [0, 0];
        assert.ok(re > 0 && im === 0);
      }
    }),
  );
});

test("skewEigen refuses a matrix that is not skew-symmetric", () => {
  for (const bad of [[1], [0, 1, 1, 0], [0, NaN, NaN, 0]]) {
    assert.throws(() => skewEigen(Float64Array.from(bad)), {
      name: "RangeError",
      message: /^skewEigen: S must be/,
    });
  }
});

test("A V = V diag(λ) for a general matrix, with columns of length 1", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.nat(), async (N, seed) => {
      const source = random(seed); // all of one size: beside subnormal entries the library overflows
      const A = Float64Array.from({ length: N * N }, () => source.normal());
      const { values, vectors } = await generalEigen(A);
      assertEigen(A, N, { values, vectors });
      for (let column = 0; column < N; column++) {
        const size = Math.hypot(
          ...Array.from({ length: N }, (_, row) => at(vectors, row * N + column)).flat(),
        );
        assert.ok(Math.abs(size - 1) < TOLERANCE);
      }
    }),
    { numRuns: 50 },
  );
});

function assertEigen(A: Float64Array, N: number, { values, vectors }: Eigen): void {
  const V = asReal(vectors, N);
  const left = matmul(asReal(complex(A), N), V, 2 * N);
  const right = matmul(V, asReal(diagonal(values), N), 2 * N);
  assertClose(left, right, 1e-10);
}

function complex(X: Float64Array): Float64Array {
  return Float64Array.from([...X].flatMap((x) => [x, 0]));
}

function diagonal(values: Float64Array): Float64Array {
  const N = values.length / 2;
  const D = new Float64Array(2 * N * N);
  for (let i = 0; i < N; i++) D.set(at(values, i), 2 * i * (N + 1));
  return D;
}
