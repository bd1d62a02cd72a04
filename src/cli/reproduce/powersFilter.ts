import { concat, discretize, matmul, reshape, type Tensor } from "../../node.ts";

/**
 * The filter of LSSL by repeated squaring of Ā, as the code of the paper computes it (Gu et al. 2021, arXiv 2110.13985,
 * section 5.3): what is known of the Krylov sequence is multiplied by the next power and put behind itself,
 *   (B̄, …, Ā^(k−1) B̄) → (B̄, …, Ā^(2k−1) B̄)      Ā^k → Ā^2k      K̄[l] = C Ā^l B̄
 * O(N³ log length) a channel, and every power is kept for the gradients. `krylovFilter` gives the same for less.
 *   A (1, N, N)      B (1, N)      C (channels, N)      Δ (channels)      K̄ (channels, length), length a power of two
 */
export function powersFilter(A: Tensor, B: Tensor, C: Tensor, delta: Tensor, length: number): Tensor {
  const { Abar, Bbar } = discretize(A, B, delta);
  const [channels, N] = C.shape;
  let power = Abar;
  let sequence = reshape(Bbar, [channels, N, 1]); // (channels, N, known)
  for (let known = 1; known < length; known *= 2) {
    sequence = concat([sequence, matmul(power, sequence)], 2);
    if (2 * known < length) power = matmul(power, power);
  }
  return reshape(matmul(reshape(C, [channels, 1, N]), sequence), [channels, length]);
}
