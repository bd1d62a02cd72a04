import { exp, neg } from "../../src/ops/activation.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { concat } from "../../src/ops/reshape.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

/** Λ, P, B and Δ as our ops take them. */
export interface S4System {
  readonly lambda: Tensor;
  readonly P: Tensor;
  readonly B: Tensor;
  readonly delta: Tensor;
}

/**
 * The systems of a kernel of state-spaces/s4, of which channel h has that of h mod ssms:
 *   inv_dt (channels, 1) = log Δ      A_real, A_imag (ssms, n): Λ = −exp(A_real) − i A_imag
 *   B (1, ssms, n, 2)                 P (rank, ssms, n, 2)
 */
export function s4System({ inv_dt, A_real, A_imag, B, P }: Readonly<Record<string, Tensor>>): S4System {
  const [ssms, n] = A_real.shape;
  const [channels] = inv_dt.shape;
  const [rank] = P.shape;
  const spread = (x: Tensor, ranks: number) => {
    const zeros = x.device.zeros([ranks, channels / ssms, ssms, n, 2]);
    return reshape(add(zeros, reshape(x, [ranks, 1, ssms, n, 2])), [ranks, channels, n, 2]);
  };
  const one = [channels, n, 2];
  const lambda = concat(
    [exp(A_real), A_imag].map((x) => reshape(neg(x), [ssms, n, 1])),
    2,
  );
  return {
    lambda: reshape(spread(lambda, 1), one),
    P: spread(P, rank),
    B: reshape(spread(B, 1), one),
    delta: reshape(exp(inv_dt), [channels]),
  };
}
