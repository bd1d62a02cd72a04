import { at, exp, withConjugates } from "../../src/math/complex.ts";
import { vandermonde } from "../../src/math/diagonal.ts";
import { cauchy } from "../../src/math/filter.ts";
import type { GoldenCase, Values } from "./case.ts";
import { input64, values } from "./float64.ts";

/** Kind `vandermonde_cauchy`: the sums behind S4D and S4, of several batches, in float64. */
export async function vandermondeCauchy(golden: GoldenCase): Promise<Record<string, Values>> {
  const [batch, N] = (await golden.input("v")).shape;
  const [, L] = (await golden.input("z")).shape;
  const parts = { v: N, x: N, e: N, z: L };
  const all = Object.fromEntries(
    await Promise.all(Object.keys(parts).map(async (name) => [name, await input64(golden, name)] as const)),
  );
  const u = await input64(golden, "u");
  const rows = Array.from({ length: batch }, (_, b) => {
    const [v, x, e, z] = Object.entries(parts).map(([name, size]) =>
      all[name].subarray(2 * b * size, 2 * (b + 1) * size),
    );
    const full = vandermonde(v, exponentials(x), L);
    const pairs = vandermonde(withConjugates(v), withConjugates(e), L);
    return {
      log_vand: real(full).map((re) => 2 * re),
      log_vand_full: full,
      log_vand_T: transposed(v, x, u.subarray(b * L, (b + 1) * L)),
      vand: real(pairs),
      cauchy: cauchy(withConjugates(v), withConjugates(x), z),
      cauchy_nc: cauchy(v, x, z),
    };
  });
  const results: Record<string, Values> = {};
  for (const name of Object.keys(rows[0]) as (keyof (typeof rows)[0])[]) {
    const shape = golden.note(`out.${name}`)?.shape ?? [];
    results[`out.${name}`] = values(
      shape,
      rows.flatMap((row) => [...row[name]]),
    );
  }
  return results;
}

/** Σ_l u_l vₙ e^(xₙ l) for each n: the sums of `vandermonde` the other way round. */
function transposed(v: Float64Array, x: Float64Array, u: Float64Array): Float64Array {
  const sums = new Float64Array(v.length);
  const powers = exponentials(x);
  for (let n = 0; n < v.length / 2; n++) {
    const row = vandermonde(v.subarray(2 * n, 2 * n + 2), powers.subarray(2 * n, 2 * n + 2), u.length);
    for (let i = 0; i < row.length; i++) sums[2 * n + (i % 2)] += u[i >> 1] * row[i];
  }
  return sums;
}

/** e^xₙ for each n. */
function exponentials(x: Float64Array): Float64Array {
  return Float64Array.from(Array.from({ length: x.length / 2 }, (_, n) => exp(at(x, n))).flat());
}

function real(x: Float64Array): Float64Array {
  return x.filter((_, i) => i % 2 === 0);
}
