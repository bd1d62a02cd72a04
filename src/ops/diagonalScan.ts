import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, type Shape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { diagonalDiscretize } from "./diagonalDiscretize.ts";
import { addGradient, complexAt, type Discretization } from "./diagonalSystem.ts";

const who = "diagonalScan";

/**
 * Discrete diagonal systems as recurrences, one a channel (S4D, arXiv 2206.11893, section 2).
 *
 *   h[t] = Ā h[t−1] + B̄ u[t]           h[−1] = state
 *   y[t] = 2 Re Σₙ C h[t] + D u[t]
 *
 *   u, y             (batch, length, channels)
 *   Ā, B̄, C          (channels, n, 2)               complex, n half the number of states
 *   D                (channels)
 *   state, h[L−1]    (batch, channels, n, 2)        complex
 */
export const diagonalScanOp = defineOp<null>({
  name: who,
  inputs: ["u", "Abar", "Bbar", "C", "D", "state"],
  outputs: ["y", "state"],

  shapes(inputs) {
    const [u, Abar, Bbar, C] = inputs as readonly Shape[]; // these four are not optional
    const [, , , , D, state] = inputs;
    const { batch, length, channels } = sizesOf(who, "u", u, ["batch", "length", "channels"]);
    if (length < 1) throw new ShapeError(`${who}: length must be at least 1, got ${length}`);
    const { n } = sizesOf(who, "Abar", Abar, ["channels", "n", "complex"]);
    const system = { channels, n, complex: 2 };
    expectShape(who, "Abar", Abar, system);
    expectShape(who, "Bbar", Bbar, system);
    expectShape(who, "C", C, system);
    if (D) expectShape(who, "D", D, { channels });
    if (state) expectShape(who, "state", state, { batch, ...system });
    return { sizes: { batch, length, channels, n }, outputs: [u, [batch, channels, n, 2]] };
  },

  // h is kept in the output state, in its precision: so a sequence cut into pieces gives the same bits.
  forward(inputs, [y, h], { batch, length, channels, n }) {
    const [u, Abar, Bbar, C] = inputs as readonly Numbers[]; // these four are not optional
    const [, , , , D, state] = inputs;
    if (state) h.set(state);
    else h.fill(0);
    const sums = new Float64Array(length);
    for (let b = 0; b < batch; b++) {
      for (let d = 0; d < channels; d++) {
        const first = b * length * channels + d; // of u and y
        for (let t = 0; t < length; t++) sums[t] = D ? D[d] * u[first + t * channels] : 0;
        for (let i = d * n; i < (d + 1) * n; i++) {
          const [Ar, Ai, Br, Bi, Cr, Ci] = [...complexAt(Abar, i), ...complexAt(Bbar, i), ...complexAt(C, i)];
          const re = 2 * (b * channels * n + i);
          const im = re + 1;
          for (let t = 0; t < length; t++) {
            const x = u[first + t * channels];
            const next = Ar * h[re] - Ai * h[im] + Br * x;
            h[im] = Ar * h[im] + Ai * h[re] + Bi * x;
            h[re] = next;
            sums[t] += 2 * (Cr * h[re] - Ci * h[im]);
          }
        }
        for (let t = 0; t < length; t++) y[first + t * channels] = sums[t];
      }
    }
  },

  // With dL = Re(Q[t] dh[t]): Q[t] = 2 C dy[t] + Ā Q[t+1], the last one with what the final state adds.
  // h is recomputed one mode at a time, so memory stays at length.
  backward(
    inputs,
    _outputs,
    [dy, dFinal],
    [du, dAbar, dBbar, dC, dD, dState],
    { batch, length, channels, n },
  ) {
    const [u, Abar, Bbar, C] = inputs as readonly Numbers[]; // these four are not optional
    const [, , , , D, state] = inputs;
    const hs = new Float64Array((length + 1) * 2); // the pair at t + 1 is h[t], at 0 the initial state
    for (let b = 0; b < batch; b++) {
      for (let d = 0; d < channels; d++) {
        const first = b * length * channels + d;
        for (let i = d * n; i < (d + 1) * n; i++) {
          const [Ar, Ai, Br, Bi, Cr, Ci] = [...complexAt(Abar, i), ...complexAt(Bbar, i), ...complexAt(C, i)];
          const own = b * channels * n + i;
          hs.set(state ? complexAt(state, own) : [0, 0]);
          for (let t = 0; t < length; t++) {
            const x = u[first + t * channels];
            hs[2 * t + 2] = Ar * hs[2 * t] - Ai * hs[2 * t + 1] + Br * x;
            hs[2 * t + 3] = Ar * hs[2 * t + 1] + Ai * hs[2 * t] + Bi * x;
          }
          let [Qr, Qi] = [dFinal[2 * own], -dFinal[2 * own + 1]];
          let [FAr, FAi, FBr, FBi, FCr, FCi] = [0, 0, 0, 0, 0, 0];
          for (let t = length - 1; t >= 0; t--) {
            const at = first + t * channels;
            Qr += 2 * Cr * dy[at];
            Qi += 2 * Ci * dy[at];
            FCr += 2 * dy[at] * hs[2 * t + 2];
            FCi += 2 * dy[at] * hs[2 * t + 3];
            FBr += Qr * u[at];
            FBi += Qi * u[at];
            FAr += Qr * hs[2 * t] - Qi * hs[2 * t + 1];
            FAi += Qr * hs[2 * t + 1] + Qi * hs[2 * t];
            du[at] += Qr * Br - Qi * Bi;
            const next = Qr * Ar - Qi * Ai;
            Qi = Qr * Ai + Qi * Ar;
            Qr = next;
          }
          addGradient(dState, own, [Qr, Qi]);
          addGradient(dAbar, i, [FAr, FAi]);
          addGradient(dBbar, i, [FBr, FBi]);
          addGradient(dC, i, [FCr, FCi]);
        }
        for (let at = first; at < first + length * channels; at += channels) {
          if (D) du[at] += D[d] * dy[at];
          dD[d] += u[at] * dy[at];
        }
      }
    }
  },
});

/** What a scan may be given besides the system; the formula is at `diagonalScanOp`. */
export interface DiagonalScanOptions {
  /** Skip weight (channels). Default: none. */
  D?: Tensor;
  /** h before the first step (batch, channels, n, 2). Default: 0. */
  state?: Tensor;
}

/**
 * The recurrence of the system whose convolution `diagonalFilter` gives: y (batch, length, channels), and the state
 * after the last step. u (batch, length, channels); Λ, B, C (channels, n, 2) complex; Δ (channels).
 */
export function diagonalScan(
  u: Tensor,
  lambda: Tensor,
  B: Tensor,
  C: Tensor,
  delta: Tensor,
  options: DiagonalScanOptions & { discretization?: Discretization } = {},
): { y: Tensor; state: Tensor } {
  const { Abar, Bbar } = diagonalDiscretize(lambda, B, delta, options.discretization);
  return diagonalRecurrence(u, Abar, Bbar, C, options);
}

/** `diagonalScan` of a system that is discrete already: for decoding, which discretizes once and steps often. */
export function diagonalRecurrence(
  u: Tensor,
  Abar: Tensor,
  Bbar: Tensor,
  C: Tensor,
  { D, state }: DiagonalScanOptions = {},
): { y: Tensor; state: Tensor } {
  const [y, last] = apply(diagonalScanOp, [u, Abar, Bbar, C, D ?? null, state ?? null], null);
  return { y, state: last };
}
