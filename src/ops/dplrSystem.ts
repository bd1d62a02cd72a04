import { withConjugates } from "../math/complex.ts";
import type { Numbers } from "../tensor/backend.ts";
import type { Sizes } from "../tensor/op.ts";
import { expectShape, type Shape, ShapeError, sizesOf } from "../tensor/shape.ts";

/**
 * What the three ops of S4's systems are given, and where its numbers are. Each channel is a system of N = 2n states
 * whose eigenvalues come in conjugate pairs, of which one is stored:
 *
 *   Λ, B, C, C̃    (channels, n, 2)          complex numbers are pairs
 *   P             (rank, channels, n, 2)    A = Λ − Σ_r P_r P_r*; rank 1 or 2
 *   Δ             (channels)
 */
export function dplrSizes(
  who: string,
  [lambda, P, B, C, delta]: readonly Shape[],
  nameOfC: string,
): Record<"channels" | "n" | "rank", number> {
  const { channels, n, complex } = sizesOf(who, "lambda", lambda, ["channels", "n", "complex"]);
  if (n < 1 || complex !== 2) {
    throw new ShapeError(`${who}: lambda must be (channels, n, 2) with n ≥ 1, got (${lambda.join(", ")})`);
  }
  const { rank } = sizesOf(who, "P", P, ["rank", "channels", "n", "complex"]);
  expectShape(who, "P", P, { rank, channels, n, complex });
  if (rank < 1 || rank > 2) throw new ShapeError(`${who}: the rank of P must be 1 or 2, got ${rank}`);
  expectShape(who, "B", B, { channels, n, complex });
  expectShape(who, nameOfC, C, { channels, n, complex });
  expectShape(who, "delta", delta, { channels });
  return { channels, n, rank };
}

/** The numbers of one channel, one of each conjugate pair. */
export interface HalfSystem {
  readonly lambda: Float64Array;
  readonly P: readonly Float64Array[];
  readonly B: Float64Array;
  readonly C: Float64Array;
  readonly delta: number;
}

/** Channel h of Λ, P, B, C and Δ. */
export function halfSystem(
  [lambda, P, B, C, delta]: readonly Numbers[],
  sizes: Sizes,
  h: number,
): HalfSystem {
  const { channels, n, rank } = sizes;
  const part = (of: Numbers, at: number) => Float64Array.from(of.subarray(at * 2 * n, (at + 1) * 2 * n));
  return {
    lambda: part(lambda, h),
    P: Array.from({ length: rank }, (_, r) => part(P, r * channels + h)),
    B: part(B, h),
    C: part(C, h),
    delta: delta[h],
  };
}

/** Both of each pair: first those that are stored, then their conjugates. */
export function wholeSystem({ lambda, P, B, C, delta }: HalfSystem): HalfSystem {
  return {
    lambda: withConjugates(lambda),
    P: P.map((row) => withConjugates(row)),
    B: withConjugates(B),
    C: withConjugates(C),
    delta,
  };
}
