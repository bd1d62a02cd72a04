import type { Numbers } from "../tensor/backend.ts";
import { UsageError } from "../tensor/errors.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { elementsOf, expectShape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Dropout (Srivastava et al. 2014), scaled in training so that the mean stays.
 *   y[i] = u[i] k[i] / (1 − rate)     k[i] = 0 with probability rate, else 1
 *   u, y: any shape                   seed (2) i32
 *
 * k[i] is a hash of the seed and i, the same on every device, and backward computes it again. The seed is a tensor so
 * that a captured program draws a new mask when new numbers are written into it.
 */
export const dropoutOp = defineOp<{ rate: number }>({
  name: "dropout",
  inputs: ["u", "seed"],
  outputs: ["y"],
  integers: ["seed"],

  shapes([u, seed], { rate }) {
    expectShape("dropout", "seed", seed!, { words: 2 });
    const threshold = Math.round(rate * 2 ** 24);
    return { sizes: { size: elementsOf(u!), threshold, scale: 1 / (1 - rate) }, outputs: [u!] };
  },

  forward(inputs, [y], { size, threshold, scale }) {
    const [u, seed] = inputs as readonly Numbers[];
    const [key0, key1] = keysOf(seed);
    for (let i = 0; i < size; i++) y[i] = keeps(i, key0, key1, threshold) ? u[i] * scale : 0;
  },

  // du = dy k / (1 − rate)
  backward(inputs, _outputs, [dy], [du], { size, threshold, scale }) {
    const [key0, key1] = keysOf(inputs[1]!); // the seed is not optional
    for (let i = 0; i < size; i++) if (keeps(i, key0, key1, threshold)) du[i] += dy[i] * scale;
  },
});

/**
 * Zeroes each element with probability `rate` and scales the others up. Rate 0 returns `u` itself.
 * @throws UsageError when rate is not in [0, 1).
 */
export function dropout(u: Tensor, seed: Tensor, rate: number): Tensor {
  if (!(rate >= 0 && rate < 1)) {
    throw new UsageError(`dropout: rate must be at least 0 and less than 1, got ${rate}.`);
  }
  return rate === 0 ? u : apply(dropoutOp, [u, seed], { rate })[0];
}

/** The two words that, mixed with an index, decide about it. Seeds that differ in a bit share nothing. */
function keysOf(seed: Numbers): [number, number] {
  const key0 = mix(seed[0] ^ 0x9e3779b9);
  return [key0, mix(key0 + seed[1])];
}

function keeps(i: number, key0: number, key1: number, threshold: number): boolean {
  return mix(mix(i ^ key0) + key1) >>> 8 >= threshold;
}

/** A permutation of the 32-bit words in which each bit in moves each bit out half the time (Wellons 2018, lowbias32). */
function mix(word: number): number {
  let x = word | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}
