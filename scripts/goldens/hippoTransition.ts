import { z } from "zod";
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
  type System,
} from "../../src/math/hippo.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { values } from "./float64.ts";

/** Our function for each measure, by the name the official code has for it. */
const systems = {
  legs: legS,
  legsd: legSNormal,
  legt: (N: number) => legT(N, 2),
  legt_unhalved: (N: number) => legT(N, 1),
  lmu: (N: number) => lmu(N),
  lagt: lagT,
  glagt: (N: number) => generalizedLagT(N, 0, 0.01),
  glagt_a: (N: number) => generalizedLagT(N, 0.25, 0.5),
  fout: (N: number) => fourier(N, 2),
  fourier_decay: (N: number) => fourierDecay(N, 2),
  foud: fourierNormal,
} satisfies Record<string, (N: number) => System>;

const config = z.object({
  measure: z.enum(Object.keys(systems) as (keyof typeof systems)[]),
  N: z.array(z.int()),
});

/** Kind `hippo_transition`: A and B of one measure for several N, in float64. */
export async function hippoTransition(golden: GoldenCase): Promise<Record<string, Values>> {
  const { measure, N } = configOf(golden, config);
  const results: Record<string, Values> = {};
  for (const n of N) {
    const { A, B } = systems[measure](n);
    results[`out.A_${n}`] = values([n, n], A);
    results[`out.B_${n}`] = values([n], B);
  }
  return results;
}
