import { bilinearDiagonal, type Discrete, zohDiagonal } from "../../src/math/discretize.ts";
import type { GoldenCase, Values } from "./case.ts";

/** Kind `discretize_diag`: every scalar A at every step size, B = 1, always in float64. Results are (steps, entries). */
export async function discretizeDiag(golden: GoldenCase): Promise<Record<string, Values>> {
  const A = new Float64Array((await golden.input("A")).data);
  const steps = [...(await golden.input("dt")).data];
  const ones = A.map(() => 1);
  const results: Record<string, Values> = {};
  const rules = { zoh: zohDiagonal, bilinear: bilinearDiagonal };
  for (const [name, rule] of Object.entries(rules)) {
    const rows = steps.map((delta) => rule(A, ones, delta));
    const stack = (part: keyof Discrete) => ({
      shape: [steps.length, A.length],
      data: Float64Array.from(rows.flatMap((row) => [...row[part]])),
    });
    results[`out.Abar_${name}`] = stack("Abar");
    results[`out.Bbar_${name}`] = stack("Bbar");
  }
  return results;
}
