import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fourierBasis, legTBasis, recall } from "../../src/math/basis.ts";
import { bilinear } from "../../src/math/discretize.ts";
import {
  fourier,
  fourierDecay,
  fourierNormal,
  generalizedLagT,
  lagT,
  legS,
  legSNormal,
  legT,
  lmu,
} from "../../src/math/hippo.ts";
import { remember } from "../../src/math/projection.ts";
import { assertClose } from "./close.ts";

const size = fc.integer({ min: 1, max: 24 });

test("LegS of two states is its formula", () => {
  const { A, B } = legS(2);
  assertClose(A, [-1, 0, -Math.sqrt(3), -2], 1e-15);
  assertClose(B, [1, Math.sqrt(3)], 1e-15);
});

test("LegS minus its normal part is −½ B Bᵀ, and the normal part −½ I plus a skew matrix", () => {
  fc.assert(
    fc.property(size, (N) => {
      const { A, B } = legS(N);
      const normal = legSNormal(N);
      assertClose(
        normal.A.map((a, i) => a - (B[Math.floor(i / N)] * B[i % N]) / 2),
        A,
        1e-14,
      );
      const symmetric = normal.A.map((a, i) => (a + normal.A[(i % N) * N + Math.floor(i / N)]) / 2);
      assertClose(
        symmetric,
        normal.A.map((_, i) => (i % (N + 1) === 0 ? -0.5 : 0)),
        1e-12,
      );
    }),
  );
});

test("LMU is LegT in another scale", () => {
  fc.assert(
    fc.property(size, (N) => {
      const [a, b] = [legT(N, 3), lmu(N, 3)];
      const T = (n: number) => Math.sqrt(2 * n + 1) * (n % 2 === 0 ? 1 : -1);
      assertClose(
        b.A,
        a.A.map((x, i) => (x * T(Math.floor(i / N))) / T(i % N)),
        1e-13,
      );
      assertClose(
        b.B,
        a.B.map((x, n) => x * T(n)),
        1e-13,
      );
    }),
  );
});

test("a window of θ is a clock that runs θ times slower", () => {
  for (const system of [legT, lmu, fourier, fourierDecay]) {
    const [one, three] = [system(8), system(8, 3)];
    assertClose(
      three.A,
      one.A.map((a) => a / 3),
      1e-14,
    );
    assertClose(
      three.B,
      one.B.map((b) => b / 3),
      1e-14,
    );
  }
});

test("generalized Laguerre without weight and tilt is LagT", () => {
  const { A, B } = lagT(3);
  assertClose(A, [-0.5, 0, 0, -1, -0.5, 0, -1, -1, -0.5], 1e-14);
  assertClose(B, [1, 1, 1], 1e-14);
  assertClose(
    generalizedLagT(3, 0, 1).A,
    A.map((a, i) => (i % 4 === 0 ? a - 0.5 : a)),
    1e-14,
  );
});

test("the sliding windows hold the last θ of a smooth signal", () => {
  const [N, length, window] = [32, 1000, 0.5];
  const signal = (t: number) => Math.exp(-3 * (t - 0.6) ** 2) * Math.cos(8 * Math.PI * t);
  const f = Float64Array.from({ length }, (_, i) => signal(i / length));
  const ages = Array.from({ length: 400 }, (_, i) => (i + 50) / length); // away from the window's two ends
  const truth = ages.map((age) => signal((length - 1) / length - age));
  const memories = { legT: [legT, legTBasis, 0.02], fourier: [fourier, fourierBasis, 0.15] } as const;
  for (const [name, [system, basis, bound]] of Object.entries(memories)) {
    const { A, B } = system(N, window);
    const c = remember(bilinear(A, B, 1 / length), f).slice(-N);
    const held = recall(
      c,
      ages.map((age) => basis(N, age, window)),
    );
    const error = Math.hypot(...held.map((x, i) => x - truth[i])) / Math.hypot(...truth);
    assert.ok(error < bound, `${name}: relative error ${error}`);
  }
});

test("a system without states, a Fourier basis without partners and a window without length are refused", () => {
  const systems = { legS, legT, lmu, generalizedLagT: (N: number) => generalizedLagT(N, 0, 0) };
  for (const [who, system] of Object.entries(systems)) {
    assertRefuses(() => system(0), `${who}: N must be a whole number of at least 1, got 0.`);
    assertRefuses(() => system(1.5), `${who}: N must be a whole number of at least 1, got 1.5.`);
  }
  for (const [who, system] of Object.entries({ fourier, fourierDecay, fourierNormal })) {
    assertRefuses(() => system(3), `${who}: N must be even, one cosine and one sine each, got 3.`);
  }
  for (const [who, system] of Object.entries({ legT, lmu, fourier, fourierDecay })) {
    assertRefuses(() => system(4, 0), `${who}: window must be a positive, finite length of time, got 0.`);
  }
  const expected = "generalizedLagT: alpha must be between −1 and 1 and beta at least 0, got 1 and 0.";
  assertRefuses(() => generalizedLagT(4, 1, 0), expected);
});

function assertRefuses(call: () => unknown, message: string): void {
  assert.throws(call, { name: "RangeError", message });
}
