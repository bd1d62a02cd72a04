import assert from "node:assert/strict";
import { test } from "node:test";
import { at, div, mul, withConjugates } from "../../src/math/complex.ts";
import { discreteDplr, inner, solveDplr, truncatedReadout } from "../../src/math/dplr.ts";
import { truncatedC } from "../../src/math/filter.ts";
import { dplr, nplr } from "../../src/math/nplr.ts";

/** Sums of at most 32 terms in float64, whose largest is near 1. */
const tolerance = 1e-12;

const wave = (length: number, phase: number) =>
  Float64Array.from({ length }, (_, i) => Math.sin(3.1 * i * i + phase));

function assertNear(got: Float64Array, expected: Float64Array): void {
  assert.equal(got.length, expected.length);
  for (const [i, v] of expected.entries()) {
    assert.ok(
      Math.abs(got[i] - v) <= tolerance * Math.max(1, Math.abs(v)),
      `[${i}] is ${got[i]}, must be ${v}`,
    );
  }
}

test("solveDplr solves (diag(E) + κ Σ P P*) x = b", () => {
  const n = 7;
  const E = wave(2 * n, 0.3).map((v, i) => (i % 2 === 0 ? 2 + v : v));
  for (const rank of [1, 2]) {
    const P = [wave(2 * n, 1), wave(2 * n, 2)].slice(0, rank);
    const b = wave(2 * n, 3);
    const x = solveDplr(E, P, 0.6, b);
    const back = new Float64Array(2 * n);
    for (let i = 0; i < n; i++) {
      const sum = P.map((p) => mul(at(p, i), inner(p, x)));
      const [re, im] = mul(at(E, i), at(x, i));
      back[2 * i] = re + 0.6 * sum.reduce((total, [part]) => total + part, 0);
      back[2 * i + 1] = im + 0.6 * sum.reduce((total, [, part]) => total + part, 0);
    }
    assertNear(back, b);
  }
});

test("without a low rank part the discrete system is the bilinear rule of each eigenvalue", () => {
  const lambda = Float64Array.of(-0.5, 2, -1, -7);
  const { a } = discreteDplr(lambda, [new Float64Array(4)], wave(4, 1), 0.1);
  for (const n of [0, 1]) {
    const [re, im] = at(lambda, n);
    const expected = div([1 + 0.05 * re, 0.05 * im], [1 - 0.05 * re, -0.05 * im]);
    assertNear(a.subarray(2 * n, 2 * n + 2), Float64Array.from(expected));
  }
});

test("C̃ by rows is C̃ by powers of the dense matrix, for HiPPO of rank 1 and 2", () => {
  for (const measure of ["legS", "legT"] as const) {
    const N = 12;
    const { lambda, P, B } = dplr(nplr(measure, N));
    const rows = Array.from({ length: P.length / N }, (_, r) => P.subarray(r * N, (r + 1) * N));
    const C = wave(N, 1);
    const system = discreteDplr(lambda, rows, B, 0.05);
    const whole = withConjugates(P, N / 2);
    const dense = truncatedC(withConjugates(lambda), whole, withConjugates(C), 0.05, 37);
    assertNear(withConjugates(truncatedReadout(C, system, 37)), dense);
  }
});
