import { discreteDplr } from "../math/dplr.ts";
import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, type Shape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { dplrSizes, halfSystem } from "./dplrSystem.ts";

const who = "dplrScan";

/**
 * S4 as a recurrence (Gu et al. 2021, arXiv 2111.00396, equation 3), in O(n) a step (its theorem 2): Ā is the product
 * of a diagonal plus low-rank matrix and the inverse of one, and so one itself, by Woodbury's identity (math/dplr.ts).
 *
 *   h[t] = Ā h[t−1] + B̄ u[t]        h[−1] = state        Ā h = a ⊙ h − Σ_r w_r Re Σ_n f_r h
 *   y[t] = 2 Re Σ_n C h[t] + D u[t]
 *
 *   u, y                (batch, length, channels)
 *   Λ, P, B, C, Δ       ops/dplrSystem.ts
 *   D                   (channels)
 *   state, h[L−1]       (batch, channels, n, 2)
 */
export const dplrScanOp = defineOp<null>({
  name: who,
  inputs: ["u", "lambda", "P", "B", "C", "delta", "D", "state"],
  outputs: ["y", "state"],

  shapes(inputs) {
    const [u, ...system] = inputs.slice(0, 6) as readonly Shape[]; // these are not optional
    const { channels, n, rank } = dplrSizes(who, system, "C");
    const { batch, length } = sizesOf(who, "u", u, ["batch", "length", "channels"]);
    expectShape(who, "u", u, { batch, length, channels });
    if (length < 1) throw new ShapeError(`${who}: length must be at least 1, got ${length}`);
    if (inputs[6]) expectShape(who, "D", inputs[6], { channels });
    if (inputs[7]) expectShape(who, "state", inputs[7], { batch, channels, n, complex: 2 });
    return { sizes: { batch, length, channels, n, rank }, outputs: [u, [batch, channels, n, 2]] };
  },

  // h is kept in the output state, in its precision: so a sequence cut into chunks gives the same bits.
  forward(inputs, [y, last], sizes) {
    const [u, ...system] = inputs.slice(0, 6) as readonly Numbers[];
    const [, , , , , , D, state] = inputs;
    const { batch, length, channels, n } = sizes;
    for (let c = 0; c < channels; c++) {
      const { lambda, P, B, C, delta } = halfSystem(system, sizes, c);
      const { a, b, w, f } = discreteDplr(lambda, P, B, delta);
      for (let s = 0; s < batch; s++) {
        const at = (s * channels + c) * 2 * n;
        const h = last.subarray(at, at + 2 * n);
        if (state) h.set(state.subarray(at, at + 2 * n));
        for (let t = 0; t < length; t++) {
          const tc = (s * length + t) * channels + c;
          const low = f.map((row) => realOf(row, h));
          let sum = 0;
          for (let i = 0; i < 2 * n; i += 2) {
            const [re, im] = [h[i], h[i + 1]];
            h[i] = a[i] * re - a[i + 1] * im + b[i] * u[tc] - along(w, low, i);
            h[i + 1] = a[i] * im + a[i + 1] * re + b[i + 1] * u[tc] - along(w, low, i + 1);
            sum += C[i] * h[i] - C[i + 1] * h[i + 1];
          }
          y[tc] = 2 * sum + (D ? D[c] * u[tc] : 0);
        }
      }
    }
  },

  // The step is (I − X) h[t] = (I + X) h[t−1] + Δ B u[t] with X = Δ/2 A. So with g[t] = ∂L/∂h[t], a gradient being
  // (d/dRe, d/dIm) and * what turns Ā around,
  //   g[t−1] = Ā* g[t]        μ[t] = (I − X)⁻* g[t] = (g[t] + g[t−1]) / 2
  // and the loss changes by μ · (dX (h[t] + h[t−1]) + d(Δ B) u[t]). Δ enters as Δ Λ, Δ B and √Δ P alone.
  backward(inputs, _outputs, [dy, dLast], grads, sizes) {
    const [u, ...system] = inputs.slice(0, 6) as readonly Numbers[];
    const [, , , , , , D, state] = inputs;
    const [du, dLambda, dP, dB, dC, dDelta, dD, dState] = grads;
    const { batch, length, channels, n, rank } = sizes;
    const hs = new Float64Array((length + 1) * 2 * n); // row t + 1 is h[t], row 0 the initial state
    for (let c = 0; c < channels; c++) {
      const { lambda, P, B, C, delta } = halfSystem(system, sizes, c);
      const { a, b, w, f } = discreteDplr(lambda, P, B, delta);
      const own = [lambda, B, ...P].map((x) => new Float64Array(x.length));
      const [gLambda, gB, ...gP] = own;
      for (let s = 0; s < batch; s++) {
        const at = (s * channels + c) * 2 * n;
        hs.fill(0, 0, 2 * n);
        if (state) hs.set(state.subarray(at, at + 2 * n));
        for (let t = 0; t < length; t++) {
          const h = hs.subarray(t * 2 * n, (t + 1) * 2 * n);
          const next = hs.subarray((t + 1) * 2 * n);
          const low = f.map((row) => realOf(row, h));
          const input = u[(s * length + t) * channels + c];
          for (let i = 0; i < 2 * n; i += 2) {
            next[i] = a[i] * h[i] - a[i + 1] * h[i + 1] + b[i] * input - along(w, low, i);
            next[i + 1] = a[i] * h[i + 1] + a[i + 1] * h[i] + b[i + 1] * input - along(w, low, i + 1);
          }
        }
        const g = Float64Array.from(dLast.subarray(at, at + 2 * n));
        for (let t = length - 1; t >= 0; t--) {
          const tc = (s * length + t) * channels + c;
          const [h, next] = [hs.subarray(t * 2 * n, (t + 1) * 2 * n), hs.subarray((t + 1) * 2 * n)];
          for (let i = 0; i < 2 * n; i++) {
            const sign = i % 2 === 0 ? 2 : -2;
            g[i] += sign * C[i] * dy[tc];
            dC[c * 2 * n + i] += sign * next[i] * dy[tc];
          }
          const low = w.map((row) => dot(row, g));
          const mu = g.slice();
          for (let i = 0; i < 2 * n; i += 2) {
            g[i] = a[i] * mu[i] + a[i + 1] * mu[i + 1] - along(f, low, i);
            g[i + 1] = a[i] * mu[i + 1] - a[i + 1] * mu[i] + along(f, low, i + 1);
          }
          for (let i = 0; i < 2 * n; i++) mu[i] = (mu[i] + g[i]) / 2;
          const sum = next.slice(0, 2 * n).map((v, i) => v + h[i]);
          const reads = P.map((row) => [2 * dot(row, sum), 2 * dot(row, mu)]);
          for (let i = 0; i < 2 * n; i += 2) {
            gLambda[i] += (delta / 2) * (mu[i] * sum[i] + mu[i + 1] * sum[i + 1]);
            gLambda[i + 1] += (delta / 2) * (mu[i + 1] * sum[i] - mu[i] * sum[i + 1]);
          }
          for (let i = 0; i < 2 * n; i++) {
            gB[i] += delta * u[tc] * mu[i];
            for (let r = 0; r < rank; r++)
              gP[r][i] -= (delta / 2) * (reads[r][0] * mu[i] + reads[r][1] * sum[i]);
          }
          du[tc] += delta * dot(B, mu) + (D ? D[c] * dy[tc] : 0);
          dD[c] += u[tc] * dy[tc];
        }
        for (let i = 0; i < 2 * n; i++) dState[at + i] += g[i];
      }
      for (let i = 0; i < 2 * n; i++) {
        dLambda[c * 2 * n + i] += gLambda[i];
        dB[c * 2 * n + i] += gB[i];
        for (let r = 0; r < rank; r++) dP[(r * channels + c) * 2 * n + i] += gP[r][i];
      }
      const low = P.reduce((total, row, r) => total + dot(row, gP[r]), 0);
      dDelta[c] += (dot(lambda, gLambda) + dot(B, gB) + low / 2) / delta;
    }
  },
});

/** What a scan may be given besides its system; the formula is at `dplrScanOp`. */
export interface DplrScanOptions {
  /** Skip weight (channels). Default: none. */
  D?: Tensor;
  /** h before the first step (batch, channels, n, 2). Default: 0. */
  state?: Tensor;
}

/** y (batch, length, channels), and the state after the last step: to be given to the scan of what follows. */
export function dplrScan(
  u: Tensor,
  lambda: Tensor,
  P: Tensor,
  B: Tensor,
  C: Tensor,
  delta: Tensor,
  { D, state }: DplrScanOptions = {},
): { y: Tensor; state: Tensor } {
  const [y, last] = apply(dplrScanOp, [u, lambda, P, B, C, delta, D ?? null, state ?? null], null);
  return { y, state: last };
}

/** Σ_r x_r[i] c_r. */
function along(x: readonly Float64Array[], c: readonly number[], i: number): number {
  let sum = 0;
  for (let r = 0; r < x.length; r++) sum += x[r][i] * c[r];
  return sum;
}

/** Re Σ_n x y. */
function realOf(x: Numbers, y: Numbers): number {
  let sum = 0;
  for (let i = 0; i < x.length; i += 2) sum += x[i] * y[i] - x[i + 1] * y[i + 1];
  return sum;
}

/** Re Σ_n x̄ y. */
function dot(x: Numbers, y: Numbers): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}
