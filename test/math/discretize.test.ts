import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  backwardEuler,
  bilinear,
  bilinearDiagonal,
  type Discrete,
  euler,
  foh,
  fohOutput,
  gbt,
  gbtDiagonal,
  gbtOutput,
  simplifiedZohDiagonal,
  zoh,
  zohDiagonal,
} from "../../src/math/discretize.ts";
import { identity, matmul } from "../../src/math/linalg.ts";

/** Rounding of a few dozen operations on numbers near 1. */
const TOLERANCE = 1e-12;

const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const vector = (N: number, min: number, max: number) =>
  fc.array(number(min, max), { minLength: N, maxLength: N }).map((entries) => Float64Array.from(entries));

/** A stable-ish A (N, N), B (N), the diagonal a (N) and a step size, for N from 1 to 5. */
const system = fc.integer({ min: 1, max: 5 }).chain((N) =>
  fc.record({
    A: vector(N * N, -1, 1),
    a: vector(N, -3, 0),
    B: vector(N, -2, 2),
    delta: number(0.01, 0.8),
    alpha: number(0, 1),
  }),
);

/** A harmonic oscillator with damping: eigenvalues −1/10 ± i, nothing commutes by accident. */
const oscillator = { A: Float64Array.of(-0.2, 1, -1, 0), B: Float64Array.of(1, 0.5) };

test("the four rules of a scalar system are the formulas of the papers", () => {
  const [A, B] = [Float64Array.of(-2), Float64Array.of(3)];
  assertDiscrete(euler(A, B, 0.1), { Abar: [0.8], Bbar: [0.3] });
  assertDiscrete(backwardEuler(A, B, 0.1), { Abar: [1 / 1.2], Bbar: [0.3 / 1.2] });
  assertDiscrete(bilinear(A, B, 0.1), { Abar: [0.9 / 1.1], Bbar: [0.3 / 1.1] });
  assertDiscrete(zoh(A, B, 0.1), { Abar: [Math.exp(-0.2)], Bbar: [(1 - Math.exp(-0.2)) * 1.5] });
});

test("euler of a matrix is I + ΔA and ΔB", () => {
  assertDiscrete(euler(Float64Array.of(1, 2, 3, 4), Float64Array.of(5, 6), 0.5), {
    Abar: [1.5, 1, 1.5, 3],
    Bbar: [2.5, 3],
  });
});

test("backwardEuler undoes I − ΔA", () => {
  const { Abar, Bbar } = backwardEuler(oscillator.A, oscillator.B, 0.3);
  const inverse = euler(oscillator.A, oscillator.B, 0.3).Abar.map((x, i) => 2 * identity(2)[i] - x);
  assertClose(matmul(inverse, Abar, 2), identity(2));
  assertClose(
    matmul(inverse, Bbar, 2),
    oscillator.B.map((b) => 0.3 * b),
  );
});

test("gbt is euler, bilinear and backwardEuler at α = 0, ½ and 1", () => {
  fc.assert(
    fc.property(system, ({ A, B, delta }) => {
      fc.pre(B.length * delta < 0.9); // keeps I − ΔA away from singular
      assert.deepEqual(gbt(A, B, delta, 0), euler(A, B, delta));
      assert.deepEqual(gbt(A, B, delta, 1 / 2), bilinear(A, B, delta));
      assert.deepEqual(gbt(A, B, delta, 1), backwardEuler(A, B, delta));
    }),
  );
});

test("each diagonal rule is the dense rule of the same name", () => {
  fc.assert(
    fc.property(system, ({ a, B, delta, alpha }) => {
      const A = diagonal(a);
      const pairs: [Discrete, Discrete][] = [
        [gbt(A, B, delta, alpha), gbtDiagonal(a, B, delta, alpha)],
        [bilinear(A, B, delta), bilinearDiagonal(a, B, delta)],
        [zoh(A, B, delta), zohDiagonal(a, B, delta)],
      ];
      for (const [dense, { Abar, Bbar }] of pairs) assertDiscrete(dense, { Abar: diagonal(Abar), Bbar });
    }),
  );
});

test("zoh is a semigroup: one step of 2Δ is two steps of Δ", () => {
  fc.assert(
    fc.property(system, ({ A, B, delta }) => {
      const N = B.length;
      const one = zoh(A, B, delta);
      const carried = matmul(one.Abar, one.Bbar, N);
      assertDiscrete(
        zoh(A, B, 2 * delta),
        {
          Abar: matmul(one.Abar, one.Abar, N),
          Bbar: one.Bbar.map((b, n) => b + carried[n]),
        },
        1e-11,
      );
    }),
  );
});

test("zoh solves A B̄ = (Ā − I) B, whether or not A can be inverted", () => {
  fc.assert(
    fc.property(system, ({ A, B, delta }) => {
      const N = B.length;
      for (let n = 0; n < N; n++) A[n] = 0; // a row of zeros: singular
      const { Abar, Bbar } = zoh(A, B, delta);
      const right = matmul(
        Abar.map((x, i) => x - identity(N)[i]),
        B,
        N,
      );
      assertClose(matmul(A, Bbar, N), right);
      assert.ok(
        Math.abs(Bbar[0] - delta * B[0]) <= TOLERANCE,
        "a state that nothing feeds back to integrates u",
      );
    }),
  );
});

test("zoh of the double integrator, which has no inverse, is its closed form", () => {
  assertDiscrete(zoh(Float64Array.of(0, 1, 0, 0), Float64Array.of(0, 1), 0.5), {
    Abar: [1, 0.5, 0, 1],
    Bbar: [0.125, 0.5],
  });
});

test("zohDiagonal at A = 0 is B̄ = ΔB, and at tiny A keeps every digit", () => {
  const A = Float64Array.of(0, -0, -5e-324, -1e-300, -1e-17, -1e-12, -1e-8);
  const { Abar, Bbar } = zohDiagonal(
    A,
    A.map(() => 3),
    0.25,
  );
  A.forEach((a, n) => {
    const series = 0.75 * (1 + (0.25 * a) / 2 + (0.25 * a) ** 2 / 6);
    assert.ok(Math.abs(Bbar[n] - series) <= 4 * Number.EPSILON, `A = ${a}: ${Bbar[n]} is not ${series}`);
    assert.equal(Abar[n], Math.exp(0.25 * a));
  });
});

test("zohDiagonal reaches the steady state −B/A where the decay is complete", () => {
  assertDiscrete(zohDiagonal(Float64Array.of(-1e6), Float64Array.of(2), 1), { Abar: [0], Bbar: [2e-6] });
});

test("simplifiedZohDiagonal has the Ā of zoh and the B̄ of Euler, which agree as Δ shrinks", () => {
  const [A, B] = [Float64Array.of(-1, -16), Float64Array.of(2, -3)];
  assertDiscrete(simplifiedZohDiagonal(A, B, 0.1), {
    Abar: [Math.exp(-0.1), Math.exp(-1.6)],
    Bbar: [0.2, -0.3],
  });
  const [simple, exact] = [simplifiedZohDiagonal(A, B, 1e-6), zohDiagonal(A, B, 1e-6)];
  assert.deepEqual(simple.Abar, exact.Abar);
  exact.Bbar.forEach((b, n) => assert.ok(Math.abs(simple.Bbar[n] / b - 1) < 1e-5));
});

test("one step of Euler errs as Δ², of bilinear as Δ³", () => {
  const { A, B } = oscillator;
  const rules = { euler: [euler, 2], backwardEuler: [backwardEuler, 2], bilinear: [bilinear, 3] } as const;
  for (const [name, [rule, order]] of Object.entries(rules)) {
    const error = (delta: number) => distance(rule(A, B, delta).Abar, zoh(A, B, delta).Abar);
    const measured = Math.log2(error(0.02) / error(0.01));
    assert.ok(Math.abs(measured - order) < 0.05, `${name}: the error falls as Δ^${measured}, not Δ^${order}`);
  }
});

test("foh with its output equation is exact for an input that is linear in time", () => {
  const [A, B, C] = [Float64Array.of(-1), Float64Array.of(1), Float64Array.of(2)];
  const delta = 0.4;
  const { Abar, Bbar } = foh(A, B, delta);
  const { Cbar, Dbar } = fohOutput(A, B, C, 0.5, delta);
  let state = 0;
  for (let k = 0; k < 10; k++) {
    const t = k * delta;
    const exact = 2 * (t - 1 + Math.exp(-t)) + 0.5 * t; // x′ = −x + t from x = 0, y = 2x + ½t
    assert.ok(Math.abs(Cbar[0] * state + Dbar * t - exact) <= TOLERANCE);
    state = Abar[0] * state + Bbar[0] * t;
  }
});

test("gbtOutput keeps the gain of a constant input, D − C A⁻¹ B, for every α", () => {
  const [A, B, C] = [Float64Array.of(-2), Float64Array.of(3), Float64Array.of(5)];
  for (const alpha of [0, 0.3, 0.5, 1]) {
    const { Abar, Bbar } = gbt(A, B, 0.1, alpha);
    const { Cbar, Dbar } = gbtOutput(A, B, C, 7, 0.1, alpha);
    const gain = (Cbar[0] * Bbar[0]) / (1 - Abar[0]) + Dbar;
    assert.ok(Math.abs(gain - (7 + 15 / 2)) <= TOLERANCE, `α = ${alpha}: gain ${gain}`);
  }
});

test("every rule refuses an empty system, a step that is not positive and finite, and wrong sizes", () => {
  const dense = { euler, backwardEuler, bilinear, zoh, foh };
  const diagonals = { bilinearDiagonal, zohDiagonal, simplifiedZohDiagonal };
  for (const [who, rule] of Object.entries({ ...dense, ...diagonals })) {
    const empty = () => rule(new Float64Array(0), new Float64Array(0), 0.1);
    assertRefuses(empty, `${who}: B must be (N) with N ≥ 1, got 0 numbers.`);
    for (const delta of [0, -0.1, NaN, Infinity]) {
      const expected = `${who}: delta must be a positive, finite step size, got ${delta}.`;
      assertRefuses(() => rule(Float64Array.of(-1), Float64Array.of(1), delta), expected);
    }
  }
  for (const [who, rule] of Object.entries(dense)) {
    const expected = `${who}: A must be (N, N) = (3, 3) for B (3), got 8 numbers.`;
    assertRefuses(() => rule(new Float64Array(8), new Float64Array(3), 0.1), expected);
  }
  for (const [who, rule] of Object.entries(diagonals)) {
    const expected = `${who}: A must be (N) = (3), got 2 numbers.`;
    assertRefuses(() => rule(new Float64Array(2), new Float64Array(3), 0.1), expected);
  }
});

test("gbt refuses an α outside [0, 1] and names itself", () => {
  const one = Float64Array.of(1);
  for (const rule of [gbt, gbtDiagonal]) {
    assertRefuses(() => rule(one, one, 0.1, 1.5), `${rule.name}: alpha must be from 0 to 1, got 1.5.`);
  }
});

test("the output equations refuse a C of another size", () => {
  const [one, two] = [Float64Array.of(1), Float64Array.of(1, 2)];
  const expected = "C must be (N) = (1), got 2 numbers.";
  assertRefuses(() => gbtOutput(one, one, two, 0, 0.1, 0.5), `gbtOutput: ${expected}`);
  assertRefuses(() => fohOutput(one, one, two, 0, 0.1), `fohOutput: ${expected}`);
});

function diagonal(a: Float64Array): Float64Array {
  const N = a.length;
  return Float64Array.from({ length: N * N }, (_, i) => (i % (N + 1) === 0 ? a[i % N] : 0));
}

function distance(X: Float64Array, Y: Float64Array): number {
  return Math.hypot(...X.map((x, i) => x - Y[i]));
}

function assertDiscrete(
  actual: Discrete,
  expected: { Abar: ArrayLike<number>; Bbar: ArrayLike<number> },
  tolerance = TOLERANCE,
): void {
  assertClose(actual.Abar, expected.Abar, tolerance);
  assertClose(actual.Bbar, expected.Bbar, tolerance);
}

function assertClose(actual: Float64Array, expected: ArrayLike<number>, tolerance = TOLERANCE): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((x, i) => {
    assert.ok(Math.abs(x - expected[i]) <= tolerance, `[${i}]: ${x} is not ${expected[i]} ± ${tolerance}`);
  });
}

function assertRefuses(call: () => unknown, message: string): void {
  assert.throws(call, { name: "RangeError", message });
}
