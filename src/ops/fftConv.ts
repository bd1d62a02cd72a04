import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "fftConv";

/**
 * The long convolution of LSSL and S4 (Gu et al. 2021, arXiv 2111.00396, equation 5): each channel with its own filter,
 * which may be as long as the sequence or longer; what is beyond the sequence counts as 0.
 *
 *   y[t] = Σ_{s ≥ 0} filter[s] u[t − s] + D u[t] + Σ_{s ≥ 0} future[s] u[t + 1 + s]
 *
 *   u, y    (batch, length, channels)
 *   filter  (channels, filterLength)
 *   D       (channels)                    the skip of the state space model
 *   future  (channels, futureLength)      for bidirectional layers: what is yet to come
 *
 * The loops here are the sums as they stand, O(length²), 10 ms a channel at length 4096: made to be compared with.
 * Kernels multiply Fourier transforms, O(length log length): their errors are relative to the largest numbers of a
 * channel of a sequence, not to each number, and a NaN anywhere in it reaches all of its outputs.
 */
export const fftConvOp = defineOp<null>({
  name: who,
  inputs: ["u", "filter", "D", "future"],
  outputs: ["y"],

  shapes([u, filter, D, future]) {
    const { batch, length, channels } = sizesOf(who, "u", u!, ["batch", "length", "channels"]); // not optional
    const { filterLength } = sizesOf(who, "filter", filter!, ["channels", "filterLength"]); // not optional
    expectShape(who, "filter", filter!, { channels, filterLength }); // not optional
    if (D) expectShape(who, "D", D, { channels });
    const { futureLength } = future
      ? sizesOf(who, "future", future, ["channels", "futureLength"])
      : { futureLength: 0 };
    if (future) expectShape(who, "future", future, { channels, futureLength });
    for (const [name, size] of Object.entries({ length, filterLength, ...(future && { futureLength }) })) {
      if (size < 1) throw new ShapeError(`${who}: ${name} must be at least 1, got ${size}`);
    }
    return {
      sizes: { batch, length, channels, filterLength, futureLength },
      outputs: [[batch, length, channels]],
    };
  },

  forward([u, filter, D, future], [y], sizes) {
    const { length, filterLength, futureLength } = sizes;
    eachChannel(sizes, (c, at) => {
      const x = gather(u!, at, length); // u and filter are not optional
      const past = row(filter!, c, filterLength);
      const ahead = row(future, c, futureLength);
      for (let t = 0; t < length; t++) {
        let sum = D ? D[c] * x[t] : 0;
        for (let s = Math.min(t, filterLength - 1); s >= 0; s--) sum += past[s] * x[t - s];
        for (let s = Math.min(length - t - 1, futureLength) - 1; s >= 0; s--) sum += ahead[s] * x[t + 1 + s];
        y[at(t)] = sum;
      }
    });
  },

  //   du[t] = Σ_s filter[s] dy[t + s] + D dy[t] + Σ_s future[s] dy[t − 1 − s]
  //   dfilter[s] = Σ_t dy[t] u[t − s]      dD = Σ_t dy[t] u[t]      dfuture[s] = Σ_t dy[t] u[t + 1 + s]
  backward([u, filter, D, future], _outputs, [dy], [du, dFilter, dD, dFuture], sizes) {
    const { length, filterLength, futureLength } = sizes;
    eachChannel(sizes, (c, at) => {
      const x = gather(u!, at, length); // u and filter are not optional
      const g = gather(dy, at, length);
      const past = row(filter!, c, filterLength);
      const ahead = row(future, c, futureLength);
      for (let t = 0; t < length; t++) {
        let sum = D ? D[c] * g[t] : 0;
        for (let s = Math.min(length - t, filterLength) - 1; s >= 0; s--) sum += past[s] * g[t + s];
        for (let s = Math.min(t, futureLength) - 1; s >= 0; s--) sum += ahead[s] * g[t - 1 - s];
        du[at(t)] += sum;
      }
      for (let s = 0; s < filterLength; s++) dFilter[c * filterLength + s] += correlation(g, x, s);
      for (let s = 0; s < futureLength; s++) dFuture[c * futureLength + s] += correlation(x, g, s + 1);
      dD[c] += correlation(g, x, 0);
    });
  },
});

/** What a convolution may be given besides its input and filter; the formula is at `fftConvOp`. */
export interface FftConvOptions {
  /** Skip weight (channels). Default: none. */
  D?: Tensor;
  /** Filter over the inputs yet to come (channels, futureLength). Default: none, and the convolution is causal. */
  future?: Tensor;
}

/** y (batch, length, channels) = filter (channels, filterLength) ∗ u (batch, length, channels). */
export function fftConv(u: Tensor, filter: Tensor, { D, future }: FftConvOptions = {}): Tensor {
  return apply(fftConvOp, [u, filter, D ?? null, future ?? null], null)[0];
}

type Sizes = Readonly<Record<string, number>>;

/** Calls `fn` for each channel of each sequence, with the offset of (b, t, c) in u. */
function eachChannel({ batch, length, channels }: Sizes, fn: (c: number, at: (t: number) => number) => void) {
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c++) fn(c, (t) => (b * length + t) * channels + c);
  }
}

/** One channel, in a row and in double precision. */
function gather(u: Numbers, at: (t: number) => number, length: number): Float64Array {
  return Float64Array.from({ length }, (_, t) => u[at(t)]);
}

function row(filter: Numbers | null, c: number, length: number): Float64Array {
  return Float64Array.from({ length }, (_, s) => filter![c * length + s]); // no length without a filter
}

/** Σ_t a[t + s] b[t]. */
function correlation(a: Float64Array, b: Float64Array, s: number): number {
  let sum = 0;
  for (let t = 0; t < a.length - s; t++) sum += a[t + s] * b[t];
  return sum;
}
