import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asReal, withConjugates } from "../../src/math/complex.ts";
import { s4dLin } from "../../src/math/diagonal.ts";
import { generalEigen } from "../../src/math/eigen.ts";
import { legS } from "../../src/math/hippo.ts";
import { identity, matmul, transpose } from "../../src/math/linalg.ts";
import { denseOf, dplr, legSEigenvectors, measures, nplr } from "../../src/math/nplr.ts";
import { assertClose } from "./close.ts";

const even = fc.integer({ min: 1, max: 20 }).map((half) => 2 * half);
const measure = fc.constantFrom(...measures);

test("HiPPO is normal plus low rank: V is unitary and rebuilds A, for every measure", () => {
  fc.assert(
    fc.property(measure, even, (name, N) => {
      const form = nplr(name, N);
      const found = dplr(form);
      const V = asReal(withConjugates(found.V, N / 2), N);
      assertClose(matmul(transpose(V, 2 * N), V, 2 * N), identity(2 * N), 1e-12);
      assertClose(denseOf(found), form.A, 1e-12);
    }),
  );
});

test("V* B and V* P in the basis of Λ come back as B and P", () => {
  fc.assert(
    fc.property(measure, even, (name, N) => {
      const form = nplr(name, N);
      const { V, B } = dplr(form);
      const back = form.B.map((_, i) => {
        let sum = 0; // 2 Re of the half, the other being its conjugate
        for (let k = 0; k < N / 2; k++) {
          const j = 2 * (i * (N / 2) + k);
          sum += 2 * (V[j] * B[2 * k] - V[j + 1] * B[2 * k + 1]);
        }
        return sum;
      });
      assertClose(back, form.B, 1e-12);
    }),
  );
});

test("Λ of LegS lies on Re = −½, of the windows on the imaginary axis; LegT alone needs rank 2", () => {
  const real = {
    legS: -1 / 2,
    legSNormal: -1 / 2,
    fourierNormal: -1 / 2,
    legT: 0,
    lagT: 0,
    fourier: 0,
    fourierDecay: 0,
  };
  for (const [name, expected] of Object.entries(real)) {
    const { lambda, P } = dplr(nplr(name as keyof typeof real, 16));
    assertClose(
      lambda.filter((_, i) => i % 2 === 0),
      new Float64Array(8).fill(expected),
      1e-12,
    );
    assert.equal(P.length / lambda.length, name === "legT" ? 2 : 1);
  }
});

test("the decaying rotations have the frequencies of S4D-Lin", () => {
  const lambda = dplr(nplr("fourierNormal", 8)).lambda;
  const lin = s4dLin(8).map((x, i) => (i % 2 === 0 ? x : 2 * x)); // a window of 1, not of 2
  const ascending = [3, 2, 1, 0].flatMap((n) => [lin[2 * n], lin[2 * n + 1]]);
  assertClose(lambda, ascending, 1e-12);
});

test("LegS has the eigenvectors of lemma 3.2, and the library finds the same eigenvalues", async () => {
  const N = 10;
  const { A } = legS(N);
  const V = legSEigenvectors(N);
  assertClose(
    matmul(A, V, N),
    V.map((v, i) => -v * ((i % N) + 1)),
    1e-13,
  );
  const { values } = await generalEigen(A);
  const found = [...values].filter((_, i) => i % 2 === 0).sort((a, b) => b - a);
  assertClose(
    found,
    Array.from({ length: N }, (_, k) => -(k + 1)),
    1e-9,
  );
});

test("the eigenvectors of LegS grow as 2^(4N/3), past what float64 can carry at N = 64", () => {
  const largest = (N: number) => legSEigenvectors(N).reduce((most, v) => Math.max(most, Math.abs(v)));
  const growth = Math.log2(largest(240) / largest(120)) / 120;
  assert.ok(Math.abs(growth - 4 / 3) < 0.1, `2^(${growth} N)`);
  assert.ok(largest(64) > 1 / Number.EPSILON);
});

test("dplr refuses an odd N and a P that leaves A far from normal", () => {
  assert.throws(() => dplr(nplr("legS", 3)), { name: "RangeError", message: "dplr: N must be even, got 3." });
  const bare = { ...legS(4), P: new Float64Array(4) };
  assert.throws(() => dplr(bare), {
    name: "RangeError",
    message: /^dplr: A \+ Pᵀ P must be c I plus a skew/,
  });
});
