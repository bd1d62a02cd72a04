import assert from "node:assert/strict";
import { test } from "node:test";
import {
  exponentialWeight,
  fourierBasis,
  lagTBasis,
  legSBasis,
  legSHistoryBasis,
  legTBasis,
  lmuBasis,
  recall,
  windowWeight,
} from "../../src/math/basis.ts";
import { zoh } from "../../src/math/discretize.ts";
import { lagT, legS, type System } from "../../src/math/hippo.ts";
import { assertClose } from "./close.ts";

const N = 6;

test("the bases are orthonormal under their weights", () => {
  const bases = {
    legS: [(age: number) => legSBasis(N, age), exponentialWeight, 40],
    legT: [(age: number) => legTBasis(N, age, 3), (age: number) => windowWeight(age, 3), 3],
    lagT: [(age: number) => lagTBasis(N, age), () => 1, 80],
    fourier: [
      (age: number) => withoutSinZero(fourierBasis(N, age, 3)),
      (age: number) => windowWeight(age, 3),
      3,
    ],
    history: [(v: number) => legSHistoryBasis(N, v), windowWeight, 1],
  } as const;
  for (const [name, [basis, weight, end]] of Object.entries(bases)) {
    const steps = 20_000;
    const size = basis(0).length;
    const products = new Float64Array(size * size);
    for (let i = 0; i < steps; i++) {
      const age = ((i + 0.5) * end) / steps; // the midpoint rule
      const row = basis(age);
      row.forEach((a, n) =>
        row.forEach((b, k) => (products[n * size + k] += (a * b * weight(age) * end) / steps)),
      );
    }
    const expected = products.map((_, i) => (i % (size + 1) === 0 ? 1 : 0));
    assert.doesNotThrow(() => assertClose(products, expected, 5e-4), name);
  }
});

test("what an impulse leaves behind, exp(sA) B, is the weighted basis at age s, for LegS and LagT exactly", () => {
  const impulse = ({ A, B }: System, age: number) => {
    const { Abar } = zoh(A, B, age);
    return B.map((_, n) => B.reduce((sum, b, k) => sum + Abar[n * B.length + k] * b, 0));
  };
  for (const age of [0.01, 0.3, 1, 5]) {
    assertClose(
      impulse(legS(N), age),
      legSBasis(N, age).map((x) => x * exponentialWeight(age)),
      1e-11,
    );
    assertClose(impulse(lagT(N), age), lagTBasis(N, age), 1e-11);
  }
});

test("LMU's polynomials are LegT's without their norms, signs alternating with the end they are counted from", () => {
  const legT = legTBasis(N, 0.7, 2);
  assertClose(
    lmuBasis(N, 0.7, 2),
    legT.map((x, n) => ((n % 2 === 0 ? 1 : -1) * x) / Math.sqrt(2 * n + 1)),
    1e-13,
  );
});

test("a window counts its last θ alone, a decay never the future", () => {
  assert.deepEqual(
    [-0.1, 0, 2, 2.1].map((age) => windowWeight(age, 2)),
    [0, 0.5, 0.5, 0],
  );
  assert.equal(exponentialWeight(-1), 0);
});

test("recall sums coefficients times basis functions, a row a point", () => {
  assert.deepEqual(
    [...recall(Float64Array.of(2, 3), [Float64Array.of(1, 1), Float64Array.of(0, -1)])],
    [5, -3],
  );
});

/** The second function of `fourierBasis`, sin 0, is kept for the sake of pairs and is 0. */
function withoutSinZero(row: Float64Array): Float64Array {
  assert.equal(row[1], 0);
  return row.filter((_, n) => n !== 1);
}
