import { z } from "zod";
import { at, conjugate, mul, withConjugates } from "../../src/math/complex.ts";
import { dplr, type Measure, nplr } from "../../src/math/nplr.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { values } from "./float64.ts";

const names = {
  legs: "legS",
  legsd: "legSNormal",
  legt: "legT",
  lagt: "lagT",
  fourier: "fourier",
  fourier_decay: "fourierDecay",
} satisfies Record<string, Measure>;

const config = z.object({
  measure: z.enum(Object.keys(names) as (keyof typeof names)[]),
  N: z.int(),
  rank: z.int(),
});

/** Kind `nplr`: the parts of the form that do not depend on the phases of the eigenvectors, in float64. */
export async function nplrCase(golden: GoldenCase): Promise<Record<string, Values>> {
  const { measure, N, rank } = configOf(golden, config);
  const form = nplr(names[measure], N);
  const { lambda, P, B } = dplr(form);
  const n = N / 2;
  const rows = Array.from({ length: rank }, (_, r) => P.subarray(2 * r * n, 2 * (r + 1) * n));
  const whole = withConjugates(lambda);
  const order = Array.from({ length: N }, (_, i) => i).sort((i, j) => whole[2 * i + 1] - whole[2 * j + 1]);
  return {
    "out.A": values([N, N], form.A),
    "out.B_real": values([N], form.B),
    "out.P_real": values([rank, N], form.P),
    "out.W": values([n, 2], lambda),
    "out.absP": values(
      [rank, n],
      rows.flatMap((row) => sizes(row)),
    ),
    "out.absB": values([n], sizes(B)),
    "out.PconjB": values(
      [rank, n, 2],
      rows.flatMap((row) => products(row, conjugate(B))),
    ),
    "out.PconjP": values([n, 2], rank === 2 ? products(rows[0], conjugate(rows[1])) : []),
    "out.W_full_sorted_by_imag": values(
      [N, 2],
      order.flatMap((i) => [...at(whole, i)]),
    ),
  };
}

function sizes(x: Float64Array): number[] {
  return Array.from({ length: x.length / 2 }, (_, i) => Math.hypot(...at(x, i)));
}

function products(x: Float64Array, y: Float64Array): number[] {
  return Array.from({ length: x.length / 2 }, (_, i) => mul(at(x, i), at(y, i))).flat();
}
