import {
  backwardEuler,
  bilinear,
  euler,
  foh,
  fohOutput,
  gbt,
  gbtOutput,
  zoh,
} from "../../src/math/discretize.ts";
import type { GoldenCase, Values } from "./case.ts";

/** The α of the case's `gbt` tensors. */
const ALPHA = 0.3;

/** Kind `discretize_dense`: systems A_<s>, B_<s>, C_<s>, D_<s>, dt_<s>, each by every rule, always in float64. */
export async function discretizeDense(golden: GoldenCase): Promise<Record<string, Values>> {
  const systems = golden.inputs.filter((name) => name.startsWith("A_")).map((name) => name.slice(2));
  const results: Record<string, Values> = {};
  for (const system of systems) {
    const [A, B, C, D, dt] = await Promise.all(
      ["A", "B", "C", "D", "dt"].map(
        async (name) => new Float64Array((await golden.input(`${name}_${system}`)).data),
      ),
    );
    const N = B.length;
    const delta = dt[0];
    const rules = {
      euler: euler(A, B, delta),
      backward_diff: backwardEuler(A, B, delta),
      bilinear: bilinear(A, B, delta),
      gbt: gbt(A, B, delta, ALPHA),
      zoh: zoh(A, B, delta),
      foh: foh(A, B, delta),
    };
    for (const [rule, { Abar, Bbar }] of Object.entries(rules)) {
      results[`out.Ad_${rule}_${system}`] = { shape: [N, N], data: Abar };
      results[`out.Bd_${rule}_${system}`] = { shape: [N], data: Bbar };
    }
    const outputs = {
      bilinear: gbtOutput(A, B, C, D[0], delta, 1 / 2),
      gbt: gbtOutput(A, B, C, D[0], delta, ALPHA),
      foh: fohOutput(A, B, C, D[0], delta),
    };
    for (const [rule, { Cbar, Dbar }] of Object.entries(outputs)) {
      results[`out.Cd_${rule}_${system}`] = { shape: [N], data: Cbar };
      results[`out.Dd_${rule}_${system}`] = { shape: [1], data: Float64Array.of(Dbar) };
    }
  }
  return results;
}
