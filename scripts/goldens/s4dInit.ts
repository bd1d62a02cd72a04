import { z } from "zod";
import { s4dInv, s4dInv2, s4dLin, s4dQuad, s4dReal } from "../../src/math/diagonal.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { values } from "./float64.ts";

const config = z.object({ N: z.array(z.int()) });

/** Kind `s4d_init`: the spectra that S4D begins with, in float64. */
export async function s4dInit(golden: GoldenCase): Promise<Record<string, Values>> {
  const { N } = configOf(golden, config);
  const spectra = { lin: s4dLin, inv: s4dInv, inv2: s4dInv2, quad: s4dQuad, real: s4dReal };
  const results: Record<string, Values> = {};
  for (const [name, spectrum] of Object.entries(spectra)) {
    for (const n of N) results[`out.A_${name}_${n}`] = values([n / 2, 2], spectrum(n));
  }
  return results;
}
