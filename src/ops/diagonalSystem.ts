import type { Complex } from "../math/complex.ts";
import { add, mul } from "../math/complex.ts";
import { bilinearMode, type Mode, zohMode } from "../math/mode.ts";
import type { Numbers } from "../tensor/backend.ts";
import type { Sizes } from "../tensor/op.ts";
import { expectShape, type Shape, ShapeError, sizesOf } from "../tensor/shape.ts";

/** The rule by which a diagonal system becomes discrete: math/mode.ts. */
export type Discretization = "zoh" | "bilinear";

/** The sizes of Λ and Δ, and of what is shaped as Λ: (channels, n, 2) and (channels). */
export function systemSizes(
  who: string,
  discretization: Discretization,
  lambda: Shape,
  like: Readonly<Record<string, Shape>>,
  delta: Shape,
): { channels: number; n: number; bilinear: number } {
  const { channels, n, complex } = sizesOf(who, "lambda", lambda, ["channels", "n", "complex"]);
  if (n < 1 || complex !== 2) {
    throw new ShapeError(
      `${who}: lambda must be (channels, n, 2) with n of at least 1, got (${lambda.join(", ")})`,
    );
  }
  for (const [name, shape] of Object.entries(like)) expectShape(who, name, shape, { channels, n, complex });
  expectShape(who, "delta", delta, { channels });
  return { channels, n, bilinear: discretization === "bilinear" ? 1 : 0 };
}

/** The complex number at index i. */
export function complexAt(numbers: Numbers, i: number): Complex {
  return [numbers[2 * i], numbers[2 * i + 1]];
}

/**
 * Gradients of complex numbers are written as F with dL = Re(F dz) while they are derived, since F follows the chain
 * rule of ordinary derivatives; what is stored, (∂L/∂Re z, ∂L/∂Im z), is its conjugate.
 */
export function addGradient(gradient: Numbers, i: number, [re, im]: Complex): void {
  gradient[2 * i] += re;
  gradient[2 * i + 1] -= im;
}

/** Mode i, of channel ⌊i / n⌋. */
export function modeAt(lambda: Numbers, delta: Numbers, { n, bilinear }: Sizes, i: number): Mode {
  return (bilinear ? bilinearMode : zohMode)(complexAt(lambda, i), delta[Math.floor(i / n)]);
}

/** Adds the gradients of Λ, B and Δ that come through Ā and B̄ = g B of mode i: F of both are given. */
export function addModeGradients(
  mode: Mode,
  B: Numbers,
  [FA, FBbar]: readonly [Complex, Complex],
  [dLambda, dB, dDelta]: readonly Numbers[],
  { n }: Sizes,
  i: number,
): void {
  const Fg = mul(FBbar, complexAt(B, i));
  addGradient(dB, i, mul(FBbar, mode.g));
  addGradient(dLambda, i, add(mul(FA, mode.AbyLambda), mul(Fg, mode.gByLambda)));
  dDelta[Math.floor(i / n)] += add(mul(FA, mode.AbyDelta), mul(Fg, mode.gByDelta))[0];
}
