import { erfc } from "../math/erf.ts";
import { apply, defineOp, type Op } from "../tensor/op.ts";
import { elementsOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Functions of one number, applied to every element: y = f(u), du = f′(u) dy.
 *   u, y any shape
 * Each is written so that it neither overflows nor loses its leading digits on the way: with e = exp(−|u|) ≤ 1.
 */
export const negOp = elementwise(
  "neg",
  (u) => -u,
  () => -1,
);

export const expOp = elementwise("exp", Math.exp, (_u, y) => y);

export const logOp = elementwise("log", Math.log, (u) => 1 / u);

export const sqrtOp = elementwise("sqrt", Math.sqrt, (_u, y) => 0.5 / y);

export const squareOp = elementwise(
  "square",
  (u) => u * u,
  (u) => 2 * u,
);

/** σ(u) = 1 / (1 + exp(−u)). */
export const sigmoidOp = elementwise("sigmoid", sigmoid_, sigmoidSlope);

/** tanh′(u) = 1 − tanh²(u) = 4 σ′(2u). */
export const tanhOp = elementwise("tanh", Math.tanh, (u) => 4 * sigmoidSlope(2 * u));

/** max(u, 0); its slope at 0 is taken to be 0. */
export const reluOp = elementwise(
  "relu",
  (u) => (u < 0 ? 0 : u),
  (u) => (u <= 0 ? 0 : 1),
);

/** u σ(u), also called swish (Ramachandran, Zoph & Le 2017). */
export const siluOp = elementwise(
  "silu",
  (u) => u * sigmoid_(u),
  (u) => sigmoid_(u) + u * sigmoidSlope(u),
);

/** log(1 + exp(u)). log1p keeps the digits that 1 + e would drop. */
export const softplusOp = elementwise(
  "softplus",
  (u) => (u < 0 ? 0 : u) + Math.log1p(Math.exp(-Math.abs(u))),
  sigmoid_,
);

/** u Φ(u), Φ the distribution function of the standard normal (Hendrycks & Gimpel 2016): the exact form. */
export const geluOp = elementwise(
  "gelu",
  (u) => u * normal(u),
  (u) => normal(u) + (u * Math.exp((-u * u) / 2)) / Math.sqrt(2 * Math.PI),
);

export const neg = (u: Tensor): Tensor => apply(negOp, [u], null)[0];
export const exp = (u: Tensor): Tensor => apply(expOp, [u], null)[0];
export const log = (u: Tensor): Tensor => apply(logOp, [u], null)[0];
export const sqrt = (u: Tensor): Tensor => apply(sqrtOp, [u], null)[0];
export const square = (u: Tensor): Tensor => apply(squareOp, [u], null)[0];
export const sigmoid = (u: Tensor): Tensor => apply(sigmoidOp, [u], null)[0];
export const tanh = (u: Tensor): Tensor => apply(tanhOp, [u], null)[0];
export const relu = (u: Tensor): Tensor => apply(reluOp, [u], null)[0];
export const silu = (u: Tensor): Tensor => apply(siluOp, [u], null)[0];
export const softplus = (u: Tensor): Tensor => apply(softplusOp, [u], null)[0];
export const gelu = (u: Tensor): Tensor => apply(geluOp, [u], null)[0];

/** The op y = f(u), given f and its slope as a function of u and y. */
function elementwise(
  name: string,
  f: (u: number) => number,
  slope: (u: number, y: number) => number,
): Op<null> {
  return defineOp<null>({
    name,
    inputs: ["u"],
    outputs: ["y"],
    shapes: ([u]) => ({ sizes: { size: elementsOf(u!) }, outputs: [u!] }), // u is not optional
    forward([u], [y], { size }) {
      for (let i = 0; i < size; i++) y[i] = f(u![i]);
    },
    backward([u], [y], [dy], [du], { size }) {
      for (let i = 0; i < size; i++) du[i] += dy[i] * slope(u![i], y[i]);
    },
  });
}

function sigmoid_(u: number): number {
  const e = Math.exp(-Math.abs(u));
  return (u < 0 ? e : 1) / (1 + e);
}

/** σ′(u) = σ(u) σ(−u). */
function sigmoidSlope(u: number): number {
  const e = Math.exp(-Math.abs(u));
  return e / (1 + e) / (1 + e);
}

/** Φ(u). */
function normal(u: number): number {
  return erfc(-u / Math.SQRT2) / 2;
}
