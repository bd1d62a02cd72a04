import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { legSHistoryBasis, recall } from "../../src/math/basis.ts";
import { euler } from "../../src/math/discretize.ts";
import {
  denseStepper,
  legSDiscrete,
  legSRules,
  legSStepper,
  projectLegS,
  remember,
} from "../../src/math/projection.ts";
import { assertClose, vector } from "./close.ts";

const signal = fc.integer({ min: 1, max: 30 }).chain((length) => vector(length));

test("remember is x_k = Ā x_{k−1} + B̄ f_k, a row a sample", () => {
  const step = euler(Float64Array.of(-1), Float64Array.of(2), 0.5);
  assert.deepEqual([...remember(step, Float64Array.of(1, 0, 1))], [1, 0.5, 1.25]);
});

test("denseStepper does in place what remember writes down", () => {
  const discrete = legSDiscrete(3, 5, "bilinear");
  const f = Float64Array.of(1, -2, 3, 0.5);
  const c = new Float64Array(3);
  const step = denseStepper(discrete);
  f.forEach((sample) => step(c, sample));
  assertClose(c, remember(discrete, f).slice(-3), 1e-14);
});

test("the O(N) step of LegS is the dense one, under Euler, bilinear and backward Euler", () => {
  const alphas = { euler: 0, bilinear: 1 / 2, backwardEuler: 1 } as const;
  fc.assert(
    fc.property(
      signal,
      fc.integer({ min: 1, max: 6 }),
      fc.constantFrom("euler", "bilinear", "backwardEuler"),
      (f, N, rule) => {
        const step = legSStepper(N, alphas[rule]);
        const c = new Float64Array(N);
        f.forEach((sample, i) => step(c, sample, i + 1));
        assertClose(c, projectLegS(f, N, rule).slice(-N), 1e-9);
      },
    ),
  );
});

test("zero-order hold is the exact average: one state of LegS is the mean of what was seen and a first 0", () => {
  const c = projectLegS(Float64Array.of(3, 5, 1, 7), 1, "zoh");
  assertClose(c, [3 / 2, 8 / 3, 9 / 4, 16 / 5], 1e-13);
});

test("LegS holds all of a smooth signal, and the more of it the more coefficients", () => {
  const length = 2000;
  const f = Float64Array.from({ length }, (_, i) => Math.sin(i / 100) + Math.cos(i / 37));
  const error = (N: number) => {
    const step = legSStepper(N);
    const c = new Float64Array(N);
    f.forEach((sample, i) => step(c, sample, i + 1));
    const held = recall(
      c,
      Array.from(f, (_, i) => legSHistoryBasis(N, (i + 0.5) / length)),
    );
    return Math.hypot(...held.map((x, i) => x - f[i])) / Math.hypot(...f);
  };
  const [few, many] = [error(16), error(96)];
  assert.ok(few > 0.5 && many < 0.05, `16 coefficients err by ${few}, 96 by ${many}`);
});

test("LegS does not mind how fast the signal comes: stretched tenfold, its coefficients are the same", () => {
  const [N, length] = [16, 300];
  const f = Float64Array.from({ length }, (_, i) => Math.sin((6 * i) / length));
  const run = (stretch: number) => {
    const step = legSStepper(N);
    const c = new Float64Array(N);
    for (let k = 1; k <= length * stretch; k++) step(c, f[Math.floor((k - 1) / stretch)], k);
    return c;
  };
  assertClose(run(10), run(1), 0.02); // the first steps are coarse: errors of the order of 1/length
});

test("each rule of LegS is that rule of A and B with Δ = 1/k", () => {
  assert.deepEqual(Object.keys(legSRules), ["euler", "backwardEuler", "bilinear", "zoh"]);
  assertClose(legSDiscrete(1, 4, "euler").Abar, [3 / 4], 1e-15);
  assertClose(legSDiscrete(1, 4, "backwardEuler").Abar, [4 / 5], 1e-15);
  assertClose(legSDiscrete(1, 4, "bilinear").Abar, [7 / 9], 1e-15);
  assertClose(legSDiscrete(1, 4, "zoh").Abar, [4 / 5], 1e-15); // e^−log(5/4)
});

test("legSStepper refuses an α outside [0, 1]", () => {
  assert.throws(() => legSStepper(2, -1), {
    name: "RangeError",
    message: "legSStepper: alpha must be from 0 to 1, got -1.",
  });
});
