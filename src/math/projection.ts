/**
 * Online projection: the coefficients of the past after every sample, one step a sample (HiPPO, arXiv 2008.07669).
 * A time-invariant memory is its discretised system, run by `remember`; scaled Legendre changes with k, the number of
 * samples so far, and needs no step size: stretching the signal leaves its coefficients as they are (proposition 3).
 */
import { backwardEuler, bilinear, type Discrete, euler, zoh } from "./discretize.ts";
import { legS } from "./hippo.ts";
import { matmul, transpose } from "./linalg.ts";

/** x_k = Ā x_{k−1} + B̄ f_k from x = 0, for every k: (length, N). */
export function remember({ Abar, Bbar }: Discrete, f: Float64Array): Float64Array {
  return run(Bbar.length, f, () => ({ Abar, Bbar }));
}

/** A step of a time-invariant memory in O(N²), in place: `step(c, f)` turns the coefficients c (N) into Ā c + B̄ f. */
export function denseStepper({ Abar, Bbar }: Discrete): (c: Float64Array, f: number) => void {
  const N = Bbar.length;
  const columns = transpose(Abar, N); // so that no addition waits for the one before it
  const next = new Float64Array(N);
  return (c, f) => {
    for (let n = 0; n < N; n++) next[n] = Bbar[n] * f;
    for (let k = 0; k < N; k++) {
      const value = c[k];
      for (let n = 0; n < N; n++) next[n] += columns[k * N + n] * value;
    }
    c.set(next);
  };
}

/** The rules of `legSDiscrete`. */
export const legSRules = { euler, backwardEuler, bilinear, zoh };

export type LegSRule = keyof typeof legSRules;

/**
 * Step k = 1, 2, … of scaled Legendre, x′ = (A x + B u)/t: a step of A and B with Δ = 1/k, the same k on both sides as in
 * the official code (equation 4 of the paper counts it k + 1); zero-order hold is exact with Δ = log((k+1)/k), in which
 * time A/t is A.
 */
export function legSDiscrete(N: number, k: number, rule: LegSRule): Discrete {
  const { A, B } = legS(N);
  return legSRules[rule](A, B, rule === "zoh" ? Math.log1p(1 / k) : 1 / k);
}

/** The coefficients of scaled Legendre after each sample, (length, N), by dense steps in O(N³): the definition. */
export function projectLegS(f: Float64Array, N: number, rule: LegSRule): Float64Array {
  return run(N, f, (k) => legSDiscrete(N, k, rule));
}

/**
 * A step of scaled Legendre in O(N), in place: `step(c, f, k)` turns the coefficients c (N) after k − 1 samples into those
 * after f, the k-th. With rₙ = √(2n+1), below the diagonal A is −rₙrₖ, so that A c and the triangular
 *   (I − α/k A) x = c + (1−α)/k A c + f/k B
 * are running sums (proposition 4). α as in `gbt`: 0 Euler, ½ bilinear, 1 backward.
 */
export function legSStepper(N: number, alpha = 1 / 2): (c: Float64Array, f: number, k: number) => void {
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new RangeError(`legSStepper: alpha must be from 0 to 1, got ${alpha}.`);
  }
  const root = legS(N).B;
  return (c, f, k) => {
    const before = (1 - alpha) / k;
    const after = alpha / k;
    const input = f / k;
    let old = 0; //  Σ rⱼ cⱼ, j < n
    let next = 0; // Σ rⱼ xⱼ, j < n
    for (let n = 0; n < N; n++) {
      const r = root[n];
      const value = c[n];
      const shrink = 1 / (1 + after * (n + 1));
      const right = value - before * (r * old + (n + 1) * value) + input * r;
      c[n] = (right - after * r * next) * shrink;
      old += r * value;
      next = (1 - after * n) * shrink * next + r * shrink * right; // next + r c[n], which would wait for c[n]
    }
  };
}

function run(N: number, f: Float64Array, step: (k: number) => Discrete): Float64Array {
  const all = new Float64Array(f.length * N);
  let x: Float64Array = new Float64Array(N);
  for (let k = 1; k <= f.length; k++) {
    const { Abar, Bbar } = step(k);
    x = matmul(Abar, x, N);
    for (let n = 0; n < N; n++) x[n] += Bbar[n] * f[k - 1];
    all.set(x, (k - 1) * N);
  }
  return all;
}
