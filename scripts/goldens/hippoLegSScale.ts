import { z } from "zod";
import { legSHistoryBasis, recall } from "../../src/math/basis.ts";
import { legSDiscrete, projectLegS } from "../../src/math/projection.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { input64, values } from "./float64.ts";

const rules = { forward: "euler", backward: "backwardEuler", bilinear: "bilinear", zoh: "zoh" } as const;

const config = z.object({
  N: z.int(),
  L: z.int(),
  discretization: z.enum(Object.keys(rules) as (keyof typeof rules)[]),
});

/** Kind `hippo_legs_scale`: scaled Legendre over a signal, and the signal back, in float64. */
export async function hippoLegSScale(golden: GoldenCase): Promise<Record<string, Values>> {
  const { N, L, discretization } = configOf(golden, config);
  const rule = rules[discretization];
  const c = projectLegS(await input64(golden, "f"), N, rule);
  const last = c.slice(-N);
  const points = Array.from({ length: L }, (_, i) => legSHistoryBasis(N, i / (L - 1)));
  const Bbar = golden.expected.includes("out.Bbar")
    ? Array.from({ length: L }, (_, k) => [...legSDiscrete(N, k + 1, rule).Bbar]).flat()
    : [];
  return {
    "out.c": values([L, N], c),
    "out.c_last": values([N], last),
    "out.reconstruction": values([L], recall(last, points)),
    "out.Abar_last": values([N, N], legSDiscrete(N, L, rule).Abar),
    "out.Bbar": values([L, N], Bbar),
  };
}
