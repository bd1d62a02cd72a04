import type { Numbers } from "../tensor/backend.ts";
import { UsageError } from "../tensor/errors.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { elementsOf, expectShape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * The sum of the squares of all elements, added to the sum over other tensors.
 *   sum = before + Σ u²
 *   u: any shape     before (1), or 0 when left out     sum (1)
 */
export const sumOfSquaresOp = defineOp<null>({
  name: "sumOfSquares",
  inputs: ["u", "before"],
  outputs: ["sum"],

  shapes([u, before]) {
    if (before) expectShape("sumOfSquares", "before", before, { numbers: 1 });
    return { sizes: { size: elementsOf(u!) }, outputs: [[1]] }; // u is not optional
  },

  forward([u, before], [sum], { size }) {
    let squares = 0;
    for (let i = 0; i < size; i++) squares += u![i] * u![i];
    sum[0] = (before?.[0] ?? 0) + squares;
  },
});

/**
 * The factor that brings a gradient's norm down to at most maxNorm (Pascanu, Mikolov & Bengio 2013, algorithm 1).
 *   norm = √sum     factor = min(1, maxNorm / (norm + 10⁻⁶))
 *   sum, factor, norm (1)
 */
export const clipFactorOp = defineOp<{ maxNorm: number }>({
  name: "clipFactor",
  inputs: ["sum"],
  outputs: ["factor", "norm"],

  shapes([sum], { maxNorm }) {
    expectShape("clipFactor", "sum", sum!, { numbers: 1 }); // not optional
    return { sizes: { maxNorm }, outputs: [[1], [1]] };
  },

  forward(inputs, [factor, norm], { maxNorm }) {
    const [sum] = inputs as readonly Numbers[];
    norm[0] = Math.sqrt(sum[0]);
    factor[0] = Math.min(1, maxNorm / (norm[0] + 1e-6));
  },
});

/** Σ u² (+ before), of shape (1). Chained over tensors it is the squared norm of all of them. */
export function sumOfSquares(u: Tensor, before: Tensor | null = null): Tensor {
  return apply(sumOfSquaresOp, [u, before], null)[0];
}

export interface ClipOptions {
  /** The largest norm let through; Infinity clips nothing. */
  readonly maxNorm: number;
}

/**
 * From a squared norm, the norm and the factor to multiply gradients by. A NaN norm gives a NaN factor.
 * @throws UsageError when maxNorm is not above 0.
 */
export function clipFactor(sum: Tensor, { maxNorm }: ClipOptions): { factor: Tensor; norm: Tensor } {
  if (!(maxNorm > 0)) throw new UsageError(`clipFactor: maxNorm must be above 0, got ${maxNorm}.`);
  const [factor, norm] = apply(clipFactorOp, [sum], { maxNorm });
  return { factor, norm };
}
