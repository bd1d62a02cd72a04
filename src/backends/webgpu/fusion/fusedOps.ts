import { defineOp, type Op } from "../../../tensor/op.ts";
import { rangeNames } from "../kernels/matmul.ts";

/** An op that stands for several: it has no loops of its own, the composition is its definition. */
function fusedOp(
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  updates: readonly string[] = [],
): Op<never> {
  const never = (): never => {
    throw new Error(`internal: ${name} exists inside of a program on the GPU only`);
  };
  return defineOp<never>({ name, inputs, outputs, updates, shapes: never, forward: never });
}

/**
 * Products of few rows, and what stands around them in a block: norm or gate before, convolution or residual after.
 *   u  = Σ of its parts, which `whole` keeps
 *   a  = u, or norm(u) with gain, or u ⊙ silu(z)
 *   yᵢ = a wᵢ (+ residual)
 *   y₀ = silu(convolution of what state remembers and a w₀), where convWeight is given; state moves on by one
 *   Σ projected = y₀ xProj, a part for each workgroup that has some of y₀
 *
 *   u (rows, inner) or (parts, inner)     z, whole (rows, inner)     gain (inner)     wᵢ (inner, cᵢ)     yᵢ, residual (rows, cᵢ)
 *   convWeight (dConv, c₀)     convBias (c₀)     state (rows, dConv − 1, c₀), in place
 *   xProj (c₀, cx)         projected (rows, parts, cx)
 */
export const projectOp = fusedOp(
  "project",
  ["u", "gain", "z", "w0", "w1", "w2", "residual", "convWeight", "convBias", "state", "xProj"],
  ["y0", "y1", "y2", "projected", "whole"],
  ["state"],
);

/**
 * One step of a selective scan, from what x_proj made of the input, in parts to be added up; without z the gate is left to
 * what follows.
 *   [r, B, C] = Σ projected          Δ = r dtProj          A = −exp(logA)
 *
 *   u, z, y (batch, dInner)     projected (batch, parts, dtRank + 2 dState)     dtProj (dtRank, dInner)
 *   logA (dState, dInner)       D, deltaBias (dInner)       state (batch, dState, dInner), in place
 */
export const selectiveStepOp = fusedOp(
  "selectiveStep",
  ["u", "projected", "dtProj", "logA", "D", "z", "deltaBias", "state"],
  ["y"],
  ["state"],
);

/**
 * One step of a selective scan of one sequence and the product of what it gives, in a part for each 128 channels.
 *   Σ y = (step of what selectiveStep takes) weight + residual
 *
 *   weight (dInner, columns)     residual (columns)     y (parts, columns)     state, next (1, dState, dInner)
 */
export const selectiveProjectOp = fusedOp(
  "selectiveProject",
  ["u", "projected", "dtProj", "logA", "D", "z", "deltaBias", "state", "weight", "residual"],
  ["state", "y"],
);

/** y = Σ u: u (parts, length). */
export const sumPartsOp = fusedOp("sumParts", ["u"], ["y"]);

/** y = a b + residual, of any number of rows: as matmul, with the sum where y is written. */
export const matmulAddOp = fusedOp("matmulAdd", ["a", "b", "residual"], ["y"]);

/** kept = a b + residual, y = rmsNorm(kept) with gain. */
export const matmulNormOp = fusedOp("matmulNorm", ["a", "b", "residual", "gain"], ["kept", "y"]);

/** y = a b, its columns as split takes them apart, of any number of rows: as matmul and split after it. */
export const matmulSplitOp = fusedOp("matmulSplit", ["a", "b"], rangeNames);

/** One step of the short convolution: as causalConv1d of length 1, with its state in place. */
export const convStepOp = fusedOp("convStep", ["u", "weight", "bias", "state"], ["y"], ["state"]);

/** Functions of one number, one after the other. The sizes c0, c1, … say which, by their place in `chainNames`. */
export const chainOp = fusedOp("chain", ["u"], ["y"]);
