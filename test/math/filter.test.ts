import { test } from "node:test";
import fc from "fast-check";
import { asReal, conjugate, withConjugates } from "../../src/math/complex.ts";
import { bilinearComplex, zohComplex } from "../../src/math/diagonal.ts";
import { bilinear, euler, zoh } from "../../src/math/discretize.ts";
import {
  cauchy,
  vandermondeFilter,
  cauchyFilter,
  naiveFilter,
  recoveredC,
  truncatedC,
} from "../../src/math/filter.ts";
import { type Dplr, dplr, dplrMatrix, type Measure, measures, nplr } from "../../src/math/nplr.ts";
import { remember } from "../../src/math/projection.ts";
import { assertClose, vector } from "./close.ts";

/** Those whose Λ has no 0: a state that nothing moves (sin 0 of a Fourier basis) is a pole at ω = 1, never forgotten. */
const forgetting = measures.filter((name) => name !== "fourier" && name !== "fourierDecay");

/** A HiPPO system with a random readout and step, and a length, odd or even. */
const systemOf = (names: readonly Measure[]) =>
  fc.tuple(fc.constantFrom(...names), fc.integer({ min: 1, max: 8 })).chain(([measure, half]) =>
    fc.record({
      form: fc.constant(nplr(measure, 2 * half)),
      C: vector(2 * half),
      delta: fc.double({ min: 0.005, max: 0.2, noNaN: true }),
      length: fc.integer({ min: 1, max: 40 }),
    }),
  );

test("the filter of a scalar system is a geometric series", () => {
  const { Abar, Bbar } = euler(Float64Array.of(-1), Float64Array.of(2), 0.5);
  assertClose(naiveFilter(Abar, Bbar, Float64Array.of(3), 4), [3, 1.5, 0.75, 0.375], 1e-15);
});

test("recurrence = convolution: C x_k is the filter convolved with the input", () => {
  fc.assert(
    fc.property(systemOf(measures), vector(12), ({ form, C, delta }, u) => {
      const N = C.length;
      const discrete = bilinear(form.A, form.B, delta);
      const states = remember(discrete, u);
      const K = naiveFilter(discrete.Abar, discrete.Bbar, C, u.length);
      const recurrent = u.map((_, t) => C.reduce((sum, c, n) => sum + c * states[t * N + n], 0));
      const convolved = u.map((_, t) => K.reduce((sum, k, l) => sum + (l <= t ? k * u[t - l] : 0), 0));
      assertClose(recurrent, convolved, 1e-11);
    }),
  );
});

test("DPLR = dense: the filter of S4 by Cauchy sums and Woodbury is the naive one, rank 1 and 2, any length", () => {
  fc.assert(
    fc.property(systemOf(forgetting), ({ form, C, delta, length }) => {
      const { Abar, Bbar } = bilinear(form.A, form.B, delta);
      const whole = wholeSystem(dplr(form), readout(form, C));
      const Ctilde = truncatedC(whole.lambda, whole.P, whole.C, delta, length);
      const fast = cauchyFilter(whole.lambda, whole.P, whole.B, Ctilde, delta, length);
      assertClose(fast, naiveFilter(Abar, Bbar, C, length), 1e-10);
    }),
  );
});

test("recoveredC undoes truncatedC", () => {
  fc.assert(
    fc.property(systemOf(forgetting), ({ form, C, delta, length }) => {
      const whole = wholeSystem(dplr(form), readout(form, C));
      const Ctilde = truncatedC(whole.lambda, whole.P, whole.C, delta, length);
      assertClose(recoveredC(whole.lambda, whole.P, Ctilde, delta, length), whole.C, 1e-8);
    }),
  );
});

test("S4D's filter by a Vandermonde product is the naive one, under both rules", () => {
  fc.assert(
    fc.property(systemOf(measures), ({ form, C, delta, length }) => {
      const { lambda, B } = dplr(form);
      const half = readout(form, C);
      const none = new Float64Array(2 * lambda.length);
      const A = asReal(dplrMatrix(withConjugates(lambda), none), lambda.length);
      for (const [dense, diagonal] of [
        [bilinear, bilinearComplex],
        [zoh, zohComplex],
      ] as const) {
        const { Abar, Bbar } = dense(A, withConjugates(B), delta);
        const row = asReal(withConjugates(half), lambda.length).subarray(0, 2 * lambda.length); // the real part of C x
        assertClose(
          vandermondeFilter(diagonal(lambda, B, delta), half, length),
          naiveFilter(Abar, Bbar, row, length),
          1e-11,
        );
      }
    }),
  );
});

test("a Cauchy sum is a sum of poles", () => {
  // 2/(3 − 1) + i/(3 − i)
  assertClose(
    cauchy(Float64Array.of(2, 0, 0, 1), Float64Array.of(1, 0, 0, 1), Float64Array.of(3, 0)),
    [0.9, 0.3],
    1e-15,
  );
});

/** C V (n, 2) of a real C (N). */
function readout(form: ReturnType<typeof nplr>, C: Float64Array): Float64Array {
  return conjugate(dplr({ ...form, B: C }).B);
}

function wholeSystem({ lambda, P, B }: Dplr, C: Float64Array) {
  const n = lambda.length / 2;
  return {
    lambda: withConjugates(lambda),
    P: withConjugates(P, n),
    B: withConjugates(B),
    C: withConjugates(C),
  };
}
