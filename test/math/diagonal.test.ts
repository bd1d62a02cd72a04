import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asReal, at } from "../../src/math/complex.ts";
import {
  bilinearComplex,
  s4dInv,
  s4dLin,
  s4dReal,
  vandermonde,
  zohComplex,
} from "../../src/math/diagonal.ts";
import { bilinear, zoh } from "../../src/math/discretize.ts";
import { dplr, nplr } from "../../src/math/nplr.ts";
import { assertClose, vector } from "./close.ts";

const system = fc.integer({ min: 1, max: 4 }).chain((n) =>
  fc.record({
    lambda: vector(2 * n),
    B: vector(2 * n),
    delta: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
  }),
);

test("each complex diagonal rule is the dense rule of the same name", () => {
  fc.assert(
    fc.property(system, ({ lambda, B, delta }) => {
      const n = lambda.length / 2;
      const dense = new Float64Array(2 * n * n);
      for (let i = 0; i < n; i++) dense.set(at(lambda, i), 2 * i * (n + 1));
      for (const [rule, complex] of [
        [bilinear, bilinearComplex],
        [zoh, zohComplex],
      ] as const) {
        const expected = rule(asReal(dense, n), B, delta);
        const { Abar, Bbar } = complex(lambda, B, delta);
        const spread = new Float64Array(2 * n * n);
        for (let i = 0; i < n; i++) spread.set(at(Abar, i), 2 * i * (n + 1));
        assertClose(asReal(spread, n), expected.Abar, 1e-12);
        assertClose(Bbar, expected.Bbar, 1e-12);
      }
    }),
  );
});

test("zohComplex at Λ = 0 integrates: B̄ = ΔB", () => {
  const { Abar, Bbar } = zohComplex(Float64Array.of(0, 0), Float64Array.of(3, 1), 0.5);
  assert.deepEqual([...Abar, ...Bbar], [1, 0, 1.5, 0.5]);
});

test("vandermonde sums powers", () => {
  // v = 2 at x = i, and v = 1 at x = ½
  const sums = vandermonde(Float64Array.of(2, 0, 1, 0), Float64Array.of(0, 1, 0.5, 0), 3);
  assert.deepEqual([...sums], [3, 0, 0.5, 2, -1.75, 0]);
});

test("S4D begins with the spectra of its paper", () => {
  assertClose(s4dLin(6), [-0.5, 0, -0.5, -Math.PI, -0.5, -2 * Math.PI], 1e-15);
  assertClose(s4dInv(4), [-0.5, (-4 / Math.PI) * 3, -0.5, (-4 / Math.PI) * (1 / 3)], 1e-14);
  assert.deepEqual(
    [...s4dReal(4)].filter((_, i) => i % 2 === 0),
    [-1, -2],
  );
});

test("S4D-Inv is close to the spectrum of LegS's normal part", () => {
  const N = 64;
  const inv = s4dInv(N);
  const { lambda } = dplr(nplr("legS", N));
  const ratio = inv[1] / lambda[1]; // the fastest of each
  assert.ok(ratio > 0.9 && ratio < 1.1, `${inv[1]} against ${lambda[1]}`);
});

test("odd sizes, empty systems and steps that are none are refused", () => {
  assertRefuses(() => s4dLin(3), "s4dLin: N must be an even number of at least 2, got 3.");
  const none = new Float64Array(0);
  const expected = "zohComplex: lambda and B must be (n, 2) with n ≥ 1, got 0 and 0 numbers.";
  assertRefuses(() => zohComplex(none, none, 0.1), expected);
  const one = Float64Array.of(-1, 0);
  for (const delta of [0, -1, NaN, Infinity]) {
    assertRefuses(
      () => bilinearComplex(one, one, delta),
      `bilinearComplex: delta must be a positive, finite step size, got ${delta}.`,
    );
  }
});

function assertRefuses(call: () => unknown, message: string): void {
  assert.throws(call, { name: "RangeError", message });
}
