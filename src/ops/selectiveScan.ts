import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, type Shape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "selectiveScan";

/** Steps between two states that are kept for backward. As in selectiveScan.h. */
const chunkSteps = 16;

/**
 * Selective scan: the input-dependent recurrence of Mamba (Gu & Dao 2023, Algorithm 2), with all that the Mamba block
 * puts around it (its Figure 3), so that nothing of size (batch, length, dInner, dState) is ever stored.
 *
 *   Δ′[t] = softplus(Δ[t] + Δbias)
 *   h[t]  = exp(Δ′[t] A) h[t−1] + Δ′[t] B[t] u[t]        h[−1] = state
 *   y[t]  = (Σₙ C[t] h[t] + D u[t]) silu(z[t])           for each channel of dInner
 *
 *   u, Δ, z, y     (batch, length, dInner)
 *   A              (dState, dInner)                       negative
 *   B, C           (batch, length, groups, dState)        channel d reads group ⌊d groups / dInner⌋
 *   D, Δbias       (dInner)
 *   state, h[L−1]  (batch, dState, dInner)
 *   chunks         (batch, ⌈length / 16⌉, dState, dInner)  h before steps 0, 16, 32, …: from them backward recomputes
 *   resets         (batch, length)                        not 0: a document begins, h[t−1] counts as 0
 *
 * A is discretized by zero-order hold and B by Euler, as in the official code.
 */
export const selectiveScanOp = defineOp<{ softplus: boolean }>({
  name: who,
  inputs: ["u", "delta", "A", "B", "C", "D", "z", "deltaBias", "state", "resets"],
  outputs: ["y", "state", "chunks"],
  saved: ["chunks"],
  integers: ["resets"],

  shapes(inputs, { softplus }) {
    const [u, delta, A, B, C] = inputs as readonly Shape[]; // these five are not optional
    const [, , , , , D, z, deltaBias, state, resets] = inputs;
    const { batch, length, dInner } = sizesOf(who, "u", u, ["batch", "length", "dInner"]);
    if (length < 1) throw new ShapeError(`${who}: length must be at least 1, got ${length}`);
    const { dState } = sizesOf(who, "A", A, ["dState", "dInner"]);
    expectShape(who, "delta", delta, { batch, length, dInner });
    expectShape(who, "A", A, { dState, dInner });
    const groups = B.length === 4 ? B[2] : 1;
    const perGroup: Record<string, number> = B.length === 4 ? { groups } : {};
    expectShape(who, "B", B, { batch, length, ...perGroup, dState });
    expectShape(who, "C", C, { batch, length, ...perGroup, dState });
    if (groups < 1 || dInner % groups !== 0) {
      throw new ShapeError(`${who}: the groups of B must divide dInner = ${dInner}, got ${groups}`);
    }
    if (D) expectShape(who, "D", D, { dInner });
    if (z) expectShape(who, "z", z, { batch, length, dInner });
    if (deltaBias) expectShape(who, "deltaBias", deltaBias, { dInner });
    if (state) expectShape(who, "state", state, { batch, dState, dInner });
    if (resets) expectShape(who, "resets", resets, { batch, length });
    return {
      sizes: { batch, length, dInner, dState, groups, softplus: softplus ? 1 : 0 },
      outputs: [u, [batch, dState, dInner], [batch, Math.ceil(length / chunkSteps), dState, dInner]],
    };
  },

  // h is kept in the output state, in its precision: so a sequence cut into chunks gives the same bits.
  forward(inputs, outputs, sizes) {
    const [y, h, chunks] = outputs as [Numbers, Numbers, Numbers?];
    const [u, , A, B, C] = inputs as readonly Numbers[]; // these are not optional
    const [, , , , , D, z, , state, resets] = inputs;
    const { length, dInner, dState } = sizes;
    eachChannel(sizes, (b, d, atStep, atGroup) => {
      const nd = (n: number) => (b * dState + n) * dInner + d;
      for (let n = 0; n < dState; n++) h[nd(n)] = state ? state[nd(n)] : 0;
      for (let t = 0; t < length; t++) {
        if (chunks && t % chunkSteps === 0) {
          const chunk = b * Math.ceil(length / chunkSteps) + t / chunkSteps;
          for (let n = 0; n < dState; n++) chunks[(chunk * dState + n) * dInner + d] = h[nd(n)];
        }
        const td = atStep(t);
        const tn = atGroup(t);
        const step = stepSize(inputs, sizes, td, d).value;
        let sum = D ? D[d] * u[td] : 0;
        for (let n = 0; n < dState; n++) {
          const before = resets?.[b * length + t] ? 0 : h[nd(n)];
          h[nd(n)] = Math.exp(step * A[n * dInner + d]) * before + step * B[tn + n] * u[td];
          sum += C[tn + n] * h[nd(n)];
        }
        y[td] = z ? sum * z[td] * sigmoid(z[td]) : sum;
      }
    });
  },

  // With s the gated sum and g = ∂L/∂h, the adjoint runs the same recurrence backwards in time:
  //   g[t] = C[t] ds[t] + exp(Δ′[t+1] A) g[t+1]          g[L−1] = C[L−1] ds[L−1] + dState
  // h is recomputed one channel at a time, so memory stays at length × dState.
  backward(inputs, _outputs, [dy, dFinal], grads, sizes) {
    const [u, , A, B, C] = inputs as readonly Numbers[]; // these are not optional
    const [, , , , , D, z, , state, resets] = inputs;
    const [du, dDelta, dA, dB, dC, dD, dz, dDeltaBias, dInitial] = grads;
    const { length, dInner, dState } = sizes;
    const hs = new Float64Array((length + 1) * dState); // hs[t + 1] is h[t], hs[0] the initial state
    const g = new Float64Array(dState);
    eachChannel(sizes, (b, d, atStep, atGroup) => {
      const nd = (n: number) => (b * dState + n) * dInner + d;
      const before = (t: number, n: number) => (resets?.[b * length + t] ? 0 : hs[t * dState + n]);
      for (let n = 0; n < dState; n++) hs[n] = state ? state[nd(n)] : 0;
      for (let t = 0; t < length; t++) {
        const td = atStep(t);
        const tn = atGroup(t);
        const step = stepSize(inputs, sizes, td, d).value;
        for (let n = 0; n < dState; n++) {
          const decay = Math.exp(step * A[n * dInner + d]);
          hs[(t + 1) * dState + n] = decay * before(t, n) + step * B[tn + n] * u[td];
        }
      }
      for (let n = 0; n < dState; n++) g[n] = dFinal[nd(n)];
      for (let t = length - 1; t >= 0; t--) {
        const td = atStep(t);
        const tn = atGroup(t);
        const { value: step, slope } = stepSize(inputs, sizes, td, d);
        const gate = z ? z[td] * sigmoid(z[td]) : 1;
        const ds = dy[td] * gate;
        let sum = D ? D[d] * u[td] : 0;
        let dStep = 0;
        if (D) du[td] += D[d] * ds;
        dD[d] += u[td] * ds;
        for (let n = 0; n < dState; n++) {
          const a = A[n * dInner + d];
          const decay = Math.exp(step * a);
          const carried = decay * before(t, n);
          const h = hs[(t + 1) * dState + n];
          sum += C[tn + n] * h;
          g[n] += C[tn + n] * ds;
          dC[tn + n] += h * ds;
          dB[tn + n] += g[n] * step * u[td];
          du[td] += g[n] * step * B[tn + n];
          dStep += g[n] * (B[tn + n] * u[td] + a * carried);
          dA[n * dInner + d] += g[n] * step * carried;
          g[n] = resets?.[b * length + t] ? 0 : g[n] * decay;
        }
        if (z) dz[td] += dy[td] * sum * sigmoid(z[td]) * (1 + z[td] - gate);
        dDelta[td] += dStep * slope;
        dDeltaBias[d] += dStep * slope;
      }
      for (let n = 0; n < dState; n++) dInitial[nd(n)] += g[n];
    });
  },
});

/** What a scan may be given besides the five tensors of Algorithm 2; the formula is at `selectiveScanOp`. */
export interface SelectiveScanOptions {
  /** Skip weight (dInner). Default: none. */
  D?: Tensor;
  /** Gate (batch, length, dInner). Default: none. */
  z?: Tensor;
  /** Added to delta (dInner). Default: none. */
  deltaBias?: Tensor;
  /** h before the first step (batch, dState, dInner). Default: 0. */
  state?: Tensor;
  /** i32 (batch, length), not 0 where a new document begins. Default: nowhere. */
  resets?: Tensor;
  /** Whether Δ′ = softplus(Δ + Δbias), or Δ + Δbias as it is. Default: false. */
  softplus?: boolean;
}

/**
 * y (batch, length, dInner), and the state after the last step: to be given to the scan of what follows. B and C are
 * (batch, length, dState), or (batch, length, groups, dState).
 */
export function selectiveScan(
  u: Tensor,
  delta: Tensor,
  A: Tensor,
  B: Tensor,
  C: Tensor,
  options: SelectiveScanOptions = {},
): { y: Tensor; state: Tensor } {
  const { D = null, z = null, deltaBias = null, state = null, resets = null, softplus = false } = options;
  const inputs = [u, delta, A, B, C, D, z, deltaBias, state, resets];
  const [y, last] = apply(selectiveScanOp, inputs, { softplus });
  return { y, state: last };
}

type Sizes = Readonly<Record<string, number>>;

/** Calls `fn` for each channel of each sequence, with the offsets of (b, t, d) in u and of (b, t, group of d, 0) in B. */
function eachChannel(
  { batch, length, dInner, dState, groups }: Sizes,
  fn: (b: number, d: number, atStep: (t: number) => number, atGroup: (t: number) => number) => void,
): void {
  for (let b = 0; b < batch; b++) {
    for (let d = 0; d < dInner; d++) {
      const group = Math.floor((d * groups) / dInner);
      const atStep = (t: number) => (b * length + t) * dInner + d;
      const atGroup = (t: number) => ((b * length + t) * groups + group) * dState;
      fn(b, d, atStep, atGroup);
    }
  }
}

/** Δ′ at offset td, channel d, and its slope dΔ′/dΔ. Softplus is the identity above 20, as in PyTorch. */
function stepSize(
  [, delta, , , , , , deltaBias]: readonly (Numbers | null)[],
  { softplus }: Sizes,
  td: number,
  d: number,
): { value: number; slope: number } {
  const x = delta![td] + (deltaBias ? deltaBias[d] : 0); // delta is not optional
  return softplus && !(x > 20)
    ? { value: Math.log1p(Math.exp(x)), slope: sigmoid(x) }
    : { value: x, slope: 1 };
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
