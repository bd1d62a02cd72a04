import { type Complex, mul, scale } from "../math/complex.ts";
import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  addGradient,
  addModeGradients,
  complexAt,
  type Discretization,
  modeAt,
  systemSizes,
} from "./diagonalSystem.ts";

const who = "diagonalFilter";

/** What the filter of a diagonal system depends on besides its numbers. */
export interface DiagonalFilterOptions {
  /** How many positions. */
  length: number;
  /** Default: zero-order hold. */
  discretization?: Discretization;
}

/**
 * The convolution filter of diagonal systems, one a channel: S4D (Gu, Gupta et al. 2022, arXiv 2206.11893, equation 6),
 * a sum of powers also known as a product with a Vandermonde matrix.
 *
 *   K[l] = 2 Re Σₙ C B̄ Āˡ        0 ≤ l < length
 *
 *   Λ, B, C    (channels, n, 2)        complex; Ā and B̄ by the rule of `discretization`, math/mode.ts
 *   Δ          (channels)
 *   K          (channels, length)
 *
 * n is half the number of states: their conjugates are implied, hence twice the real part.
 */
export const diagonalFilterOp = defineOp<DiagonalFilterOptions>({
  name: who,
  inputs: ["lambda", "B", "C", "delta"],
  outputs: ["K"],

  shapes(inputs, { length, discretization = "zoh" }) {
    const [lambda, B, C, delta] = inputs as readonly Shape[]; // none is optional
    const sizes = systemSizes(who, discretization, lambda, { B, C }, delta);
    if (!(Number.isInteger(length) && length >= 1)) {
      throw new ShapeError(`${who}: length must be an integer of at least 1, got ${length}`);
    }
    return { sizes: { ...sizes, length }, outputs: [[sizes.channels, length]] };
  },

  forward(inputs, [K], sizes) {
    const [lambda, B, C, delta] = inputs as readonly Numbers[]; // none is optional
    const { channels, n, length } = sizes;
    const sums = new Float64Array(length);
    for (let h = 0; h < channels; h++) {
      sums.fill(0);
      for (let i = h * n; i < (h + 1) * n; i++) {
        const { A, g } = modeAt(lambda, delta, sizes, i);
        let [re, im] = mul(complexAt(C, i), mul(g, complexAt(B, i))); // C B̄ Āˡ
        for (let l = 0; l < length; l++) {
          sums[l] += 2 * re;
          [re, im] = [re * A[0] - im * A[1], re * A[1] + im * A[0]];
        }
      }
      for (let l = 0; l < length; l++) K[h * length + l] = sums[l];
    }
  },

  // L = Re Σₙ C B̄ S with S = 2 Σ dK[l] Āˡ, and ∂S/∂Ā = 2 Σ dK[l] l Āˡ⁻¹.
  backward(inputs, _outputs, [dK], [dLambda, dB, dC, dDelta], sizes) {
    const [lambda, B, C, delta] = inputs as readonly Numbers[]; // none is optional
    const { channels, n, length } = sizes;
    for (let i = 0; i < channels * n; i++) {
      const mode = modeAt(lambda, delta, sizes, i);
      const { S, slope } = powerSums(dK.subarray(Math.floor(i / n) * length), mode.A, length);
      const Bbar = mul(mode.g, complexAt(B, i));
      const FA = mul(mul(complexAt(C, i), Bbar), slope);
      addGradient(dC, i, mul(Bbar, S));
      addModeGradients(mode, B, [FA, mul(complexAt(C, i), S)], [dLambda, dB, dDelta], sizes, i);
    }
  },
});

/** The filter (channels, length) of diagonal systems; the formula is at `diagonalFilterOp`. */
export function diagonalFilter(
  lambda: Tensor,
  B: Tensor,
  C: Tensor,
  delta: Tensor,
  options: DiagonalFilterOptions,
): Tensor {
  return apply(diagonalFilterOp, [lambda, B, C, delta], options)[0];
}

/** S = 2 Σ w[l] aˡ and its derivative by a. */
function powerSums(w: Numbers, a: Complex, length: number): { S: Complex; slope: Complex } {
  let [re, im, slopeRe, slopeIm] = [0, 0, 0, 0];
  for (let l = length - 1; l >= 0; l--) {
    // Horner's rule: p ← p a + w, p′ ← p′ a + p
    [slopeRe, slopeIm] = [slopeRe * a[0] - slopeIm * a[1] + re, slopeRe * a[1] + slopeIm * a[0] + im];
    [re, im] = [re * a[0] - im * a[1] + w[l], re * a[1] + im * a[0]];
  }
  return { S: scale(2, [re, im]), slope: scale(2, [slopeRe, slopeIm]) };
}
