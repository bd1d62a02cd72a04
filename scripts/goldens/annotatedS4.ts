import { z } from "zod";
import { asComplex, asReal, at, conjugate, mul } from "../../src/math/complex.ts";
import { bilinear } from "../../src/math/discretize.ts";
import { vandermonde, zohComplex } from "../../src/math/diagonal.ts";
import { cauchyFilter, recoveredC } from "../../src/math/filter.ts";
import { dplrMatrix } from "../../src/math/nplr.ts";
import { remember } from "../../src/math/projection.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { input64, values } from "./float64.ts";

const config = z.object({ N: z.int(), L: z.int(), step: z.number() });

/**
 * Kind `annotated_s4_dplr`: S4 with all N states given, no conjugates implied, and C conjugated where it is used, in
 * float64. The output is the convolution with K as it is defined.
 */
export async function annotatedS4Dplr(golden: GoldenCase): Promise<Record<string, Values>> {
  const { N, L, step } = configOf(golden, config);
  const [lambda, P, B, Ctilde, u] = await Promise.all(
    ["Lambda", "P", "B", "C_tilde", "u"].map((name) => input64(golden, name)),
  );
  const row = conjugate(Ctilde);
  const K = cauchyFilter(lambda, P, B, row, step, L);
  const discrete = bilinear(asReal(dplrMatrix(lambda, P), N), B, step);
  return {
    "out.K": values([L], K),
    "out.Ab": values([N, N, 2], asComplex(discrete.Abar, N)),
    "out.Bb": values([N, 2], discrete.Bbar),
    "out.Cb": values([N, 2], recoveredC(lambda, P, row, step, L)),
    "out.y": values(
      [L],
      u.map((_, t) => K.subarray(0, t + 1).reduce((sum, k, l) => sum + k * u[t - l], 0)),
    ),
    "out.final_state": values([N, 2], remember(discrete, u).slice(-2 * N)),
  };
}

/** Kind `annotated_s4d_kernel`: S4D under zero-order hold with B = 1 and all states given, in float64. */
export async function annotatedS4d(golden: GoldenCase): Promise<Record<string, Values>> {
  const { N, L, step } = configOf(golden, config);
  const [A, C] = [await input64(golden, "A"), await input64(golden, "C")];
  const ones = A.map((_, i) => (i + 1) % 2);
  const { Abar, Bbar } = zohComplex(A, ones, step);
  const v = Float64Array.from(Array.from({ length: N }, (_, n) => mul(at(C, n), at(Bbar, n))).flat());
  return {
    "out.K": values(
      [L],
      vandermonde(v, Abar, L).filter((_, i) => i % 2 === 0),
    ),
  };
}
