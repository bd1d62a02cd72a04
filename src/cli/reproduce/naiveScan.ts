import { add, concat, exp, mul, reshape, slice, split, sum, type Tensor } from "../../node.ts";

/**
 * The scan of Mamba for one sequence as a chain of ops, each of which reads and writes all states in memory: what Gu & Dao
 * (2023, appendix E.5) call a standard scan, without kernel fusion.
 *   h[t] = exp(Δ[t] A) h[t−1] + Δ[t] B[t] u[t]      y[t] = Σₙ C[t] h[t]
 *   u, Δ, y (1, length, dInner)      A (dState, dInner)      B, C (1, length, dState)      length a power of two
 */
export function naiveScan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor): Tensor {
  const [dState, dInner] = A.shape;
  const [, length] = u.shape;
  const perChannel = (x: Tensor) => reshape(x, [length, 1, dInner]);
  const perState = (x: Tensor) => reshape(x, [length, dState, 1]);
  const Abar = exp(mul(perChannel(delta), A)); // (length, dState, dInner)
  const input = mul(perChannel(mul(delta, u)), perState(B));
  const rows = (x: Tensor) => reshape(x, [length, dState * dInner]);
  const h = reshape(parallelScan(rows(Abar), rows(input)), [length, dState, dInner]);
  return reshape(sum(mul(h, perState(C)), 1), [1, length, dInner]);
}

/**
 * h[t] = a[t] h[t−1] + b[t] with h[−1] = 0, for rows (length, width): pairs of steps are combined into one, what is half
 * as long is scanned, and the steps between are filled in (Blelloch 1990). Work in proportion to length.
 */
function parallelScan(a: Tensor, b: Tensor): Tensor {
  const [length, width] = a.shape;
  if (length === 1) return b;
  const inPairs = (x: Tensor) => split(reshape(x, [length / 2, 2 * width]), [width, width]);
  const [a0, a1] = inPairs(a);
  const [b0, b1] = inPairs(b);
  const second = parallelScan(mul(a1, a0), add(mul(a1, b0), b1)); // h[1], h[3], …
  const zero = second.device.zeros([1, width]);
  const before = length === 2 ? zero : concat([zero, slice(second, 0, 0, length / 2 - 1)], 0);
  const first = add(mul(a0, before), b0);
  return reshape(concat([first, second], 1), [length, width]);
}
