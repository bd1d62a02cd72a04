import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, type Shape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "causalConv1d";

/**
 * The short causal convolution of Mamba (Gu & Dao 2023, Figure 3): each channel on its own, over the last K = dConv
 * inputs, with the activation that follows it.
 *
 *   y[t] = φ(bias + Σₖ weight[k] u[t − (K − 1) + k])     φ = silu, or the identity
 *
 *   u, y    (batch, length, channels)
 *   weight  (dConv, channels)              weight[K − 1] is for the current input
 *   bias    (channels)
 *   state   (batch, dConv − 1, channels)   the inputs before u[0], oldest first; and after: the last ones of u
 *   resets  (batch, length)                not 0: a document begins, all inputs before it count as 0
 */
export const causalConv1dOp = defineOp<{ silu: boolean }>({
  name: who,
  inputs: ["u", "weight", "bias", "state", "resets"],
  outputs: ["y", "state"],
  integers: ["resets"],

  shapes([u, weight, bias, state, resets], { silu }) {
    const { batch, length, channels } = sizesOf(who, "u", u!, ["batch", "length", "channels"]); // not optional
    if (length < 1) throw new ShapeError(`${who}: length must be at least 1, got ${length}`);
    const { dConv } = sizesOf(who, "weight", weight!, ["dConv", "channels"]); // not optional
    expectShape(who, "weight", weight!, { dConv, channels }); // not optional
    if (dConv < 1) throw new ShapeError(`${who}: dConv must be at least 1, got ${dConv}`);
    if (bias) expectShape(who, "bias", bias, { channels });
    const stateShape: Shape = [batch, dConv - 1, channels];
    if (state) expectShape(who, "state", state, { batch, "dConv - 1": dConv - 1, channels });
    if (resets) expectShape(who, "resets", resets, { batch, length });
    return {
      sizes: { batch, length, channels, dConv, silu: silu ? 1 : 0 },
      outputs: [[batch, length, channels], stateShape],
    };
  },

  forward(inputs, [y, last], sizes) {
    const { batch, length, channels, dConv, silu } = sizes;
    for (let b = 0; b < batch; b++) {
      for (let t = 0; t < length; t++) {
        for (let d = 0; d < channels; d++) {
          const v = before(inputs, sizes, b, t, d);
          y[(b * length + t) * channels + d] = silu ? v * sigmoid(v) : v;
        }
      }
      for (let k = 0; k < dConv - 1; k++) {
        const past = reach(inputs, sizes, b, length - 1, dConv - 2 - k);
        for (let d = 0; d < channels; d++) {
          last[(b * (dConv - 1) + k) * channels + d] = past ? past.values[past.at + d] : 0;
        }
      }
    }
  },

  // With v what φ is applied to:  dv = dy φ′(v),  dweight[k] = Σₜ dv[t] u[t − (K − 1) + k],  and du[s] collects
  // dv[t] weight[k] from each t that reaches back to s, and the gradient of the state it is kept in.
  backward(inputs, _outputs, [dy, dLast], [du, dWeight, dBias, dState], sizes) {
    const { batch, length, channels, dConv, silu } = sizes;
    const weight = inputs[1]!; // not optional
    const gradOf = (past: Past) => (past.values === inputs[0] ? du : dState);
    for (let b = 0; b < batch; b++) {
      for (let t = 0; t < length; t++) {
        const taps = Array.from({ length: dConv }, (_, k) => reach(inputs, sizes, b, t, dConv - 1 - k));
        for (let d = 0; d < channels; d++) {
          const v = before(inputs, sizes, b, t, d);
          const slope = silu ? sigmoid(v) * (1 + v - v * sigmoid(v)) : 1;
          const dv = dy[(b * length + t) * channels + d] * slope;
          dBias[d] += dv;
          for (const [k, past] of taps.entries()) {
            if (past === null) continue;
            dWeight[k * channels + d] += dv * past.values[past.at + d];
            gradOf(past)[past.at + d] += dv * weight[k * channels + d];
          }
        }
      }
      for (let k = 0; k < dConv - 1; k++) {
        const past = reach(inputs, sizes, b, length - 1, dConv - 2 - k);
        if (past === null) continue;
        for (let d = 0; d < channels; d++) {
          gradOf(past)[past.at + d] += dLast[(b * (dConv - 1) + k) * channels + d];
        }
      }
    }
  },
});

/** What a convolution may be given besides its input and weight; shapes are at `causalConv1dOp`. */
export interface CausalConv1dOptions {
  /** (channels). Default: none. */
  bias?: Tensor;
  /** The dConv − 1 inputs before u, oldest first (batch, dConv − 1, channels). Default: 0. */
  state?: Tensor;
  /** i32 (batch, length), not 0 where a new document begins. Default: nowhere. */
  resets?: Tensor;
  /** Whether y goes through silu. Default: false. */
  silu?: boolean;
}

/** y (batch, length, channels), and the last dConv − 1 inputs: the state for the convolution of what follows. */
export function causalConv1d(
  u: Tensor,
  weight: Tensor,
  options: CausalConv1dOptions = {},
): { y: Tensor; state: Tensor } {
  const { bias = null, state = null, resets = null, silu = false } = options;
  const [y, last] = apply(causalConv1dOp, [u, weight, bias, state, resets], { silu });
  return { y, state: last };
}

type Inputs = readonly (Numbers | null)[];
type Sizes = Readonly<Record<string, number>>;

/** Where an input lies: in u, or before its start in the state. */
interface Past {
  readonly values: Numbers;
  readonly at: number;
}

/** The inputs (channels) `back` steps before t of sequence b; null when they count as 0. */
function reach(
  [u, , , state, resets]: Inputs,
  sizes: Sizes,
  b: number,
  t: number,
  back: number,
): Past | null {
  const { length, channels, dConv } = sizes;
  const s = t - back;
  for (let r = Math.max(s + 1, 0); r <= t; r++) if (resets?.[b * length + r]) return null;
  if (s >= 0) return { values: u!, at: (b * length + s) * channels }; // u is not optional
  return state && { values: state, at: ((b + 1) * (dConv - 1) + s) * channels };
}

/** What the activation is applied to, at step t of channel d of sequence b. */
function before(inputs: Inputs, sizes: Sizes, b: number, t: number, d: number): number {
  const { channels, dConv } = sizes;
  const [, weight, bias] = inputs;
  let sum = bias ? bias[d] : 0;
  for (let k = 0; k < dConv; k++) {
    const past = reach(inputs, sizes, b, t, dConv - 1 - k);
    const value = past ? past.values[past.at + d] : 0;
    sum += weight![k * channels + d] * value; // weight is not optional
  }
  return sum;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
