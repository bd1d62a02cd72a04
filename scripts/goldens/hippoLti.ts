import { z } from "zod";
import { fourierBasis, lagTBasis, legSBasis, legTBasis, lmuBasis, recall } from "../../src/math/basis.ts";
import { bilinear } from "../../src/math/discretize.ts";
import { fourier, lagT, legS, legT, lmu } from "../../src/math/hippo.ts";
import { remember } from "../../src/math/projection.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { everyRow, input64, values } from "./float64.ts";

const memories = {
  legs: { system: legS, basis: legSBasis },
  legt: { system: legT, basis: legTBasis },
  lagt: { system: lagT, basis: lagTBasis },
  fourier: { system: fourier, basis: fourierBasis },
  lmu: { system: lmu, basis: lmuBasis },
};

const config = z.object({
  measure: z.enum(Object.keys(memories) as (keyof typeof memories)[]).default("lmu"),
  N: z.int(),
  L: z.int(),
  dt: z.number(),
});

/** Kinds `hippo_lti` and `hippo_legt_lmu`: a time-invariant memory under the bilinear rule, in float64. */
export async function hippoLti(golden: GoldenCase): Promise<Record<string, Values>> {
  const { measure, N, L, dt } = configOf(golden, config);
  const { A, B } = memories[measure].system(N);
  const discrete = bilinear(A, B, dt);
  const c = remember(discrete, await input64(golden, "f"));
  const rows = Array.from({ length: L }, (_, i) => basisRow(measure, N, i, L, dt));
  const reconstruction = recall(c.slice(-N), rows);
  return {
    "out.A": values([N, N], A),
    "out.B": values([N], B),
    "out.dA": values([N, N], discrete.Abar),
    "out.dB": values([N], discrete.Bbar),
    "out.c_last": values([N], c.slice(-N)),
    "out.c_every16": everyRow(c.subarray(15 * N), N, 16),
    "out.eval_matrix_every16": everyRow(Float64Array.from(rows.flatMap((row) => [...row])), N, 16),
    "out.reconstruction": values([L], measure === "lmu" ? reconstruction : reconstruction.reverse()),
  };
}

/**
 * Row i of the reference's evaluation matrix: the basis at age i dt, with three quirks. LagT's and LMU's rows begin with
 * the oldest, LMU's at an age of 1; LegT's window leaves age 0 out.
 */
function basisRow(measure: keyof typeof memories, N: number, i: number, L: number, dt: number): Float64Array {
  const ages: Partial<Record<typeof measure, number>> = { lagt: (L - 1 - i) * dt, lmu: 1 - i * dt };
  const row = memories[measure].basis(N, ages[measure] ?? i * dt);
  return measure === "legt" && i === 0 ? row.fill(0) : row;
}
