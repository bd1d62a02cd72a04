import type { Tensor } from "../tensor/tensor.ts";
import { dplrSpectrum } from "./dplrSpectrum.ts";
import { inverseRealFft } from "./inverseRealFft.ts";

/**
 * S4's filter, K_l = C Ā^l B̄ for l < length (Gu et al. 2021, arXiv 2111.00396, algorithm 1; equation 5), of systems
 * A = Λ − Σ_r P_r P_r*, discretized by the bilinear rule, in O(n length) instead of the O(n² length) of powers.
 *
 *   Λ, B, C̃      (channels, n, 2)          n = N/2, one of each conjugate pair; C̃ = C (I − Ā^length)
 *   P            (rank, channels, n, 2)    rank 1 or 2
 *   Δ            (channels)
 *   K            (channels, length)
 */
export function dplrFilter(
  lambda: Tensor,
  P: Tensor,
  B: Tensor,
  Ctilde: Tensor,
  delta: Tensor,
  options: { length: number },
): Tensor {
  return inverseRealFft(dplrSpectrum(lambda, P, B, Ctilde, delta, options), options.length);
}
