import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { denseScan } from "./denseScan.ts";
import { type DenseRule, discretize } from "./discretize.ts";
import { transpose } from "./reshape.ts";

/**
 * The filter of LSSL with everything trained, A, B, C and Δ (arXiv 2110.13985, equation 7): the Krylov sequence
 * K̄ = (C B̄, C Ā B̄, C Ā² B̄, …), which is what the recurrence answers to an impulse, and is computed as that. O(N² length) a
 * channel, and every x[t] is needed again for the gradients: this is why LSSL had to become S4.
 *
 *   A (ssms, N, N)    B (ssms, N)    C (channels, N) or (channels, readouts, N)    Δ (channels)
 *   K̄ (channels, length) or (channels, readouts, length), for `fftConv`
 */
export function krylovFilter(
  A: Tensor,
  B: Tensor,
  C: Tensor,
  delta: Tensor,
  { length, discretization = "bilinear" }: { length: number; discretization?: DenseRule },
): Tensor {
  if (!(Number.isInteger(length) && length >= 1)) {
    throw new UsageError(`krylovFilter: length must be a whole number of at least 1, got ${length}.`);
  }
  const [channels] = C.shape;
  const N = C.shape[C.shape.length - 1];
  const readouts = C.shape.length === 3 ? C.shape[1] : 1;
  const { Abar, Bbar } = discretize(A, B, delta, discretization);
  const impulse = new Float32Array(length * channels).fill(1, 0, channels);
  const u = A.device.tensor(impulse, [1, length, channels]);
  const { y } = denseScan(u, Abar, Bbar, reshape(C, [channels, readouts, N]));
  const filters = transpose(reshape(y, [length, channels * readouts]));
  return reshape(filters, [...C.shape.slice(0, -1), length]);
}
