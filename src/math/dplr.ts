/**
 * Diagonal plus low rank: A = Λ − Σ_r P_r P_r*, the form that S4 brings HiPPO to (arXiv 2111.00396, theorem 1), with
 * P on both sides so that A stays in the left half plane (SaShiMi, arXiv 2202.09729, section 4.1).
 *
 * Complex sequences are interleaved pairs (n, 2). A real system has its eigenvalues in conjugate pairs; where a function
 * says *half*, it takes one of each, and sums over all N = 2n are twice the real part of sums over n.
 */
import { conjugate } from "./complex.ts";

/** x (n, 2) with (diag(E) + κ Σ_r P_r P_r*) x = b, in O(n): Sherman & Morrison's rank-one update, once for each P_r. */
export function solveDplr(
  E: Float64Array,
  P: readonly Float64Array[],
  kappa: number,
  b: Float64Array,
): Float64Array {
  const columns = [...P, b].map((column) => quotient(column, E));
  for (const [k, row] of P.entries()) {
    const [gr, gi] = inner(row, columns[k]);
    const [dr, di] = [1 + kappa * gr, kappa * gi];
    const scale = kappa / (dr * dr + di * di);
    for (const column of columns.slice(k + 1)) {
      const [sr, si] = inner(row, column);
      const tr = (sr * dr + si * di) * scale;
      const ti = (si * dr - sr * di) * scale;
      for (let i = 0; i < column.length; i += 2) {
        column[i] -= columns[k][i] * tr - columns[k][i + 1] * ti;
        column[i + 1] -= columns[k][i] * ti + columns[k][i + 1] * tr;
      }
    }
  }
  return columns[P.length];
}

/** x_k = Ā x_{k−1} + B̄ u_k in O(n) a step, half: Ā x = a ⊙ x − Σ_r w_r Re Σ_n f_r x. */
export interface DiscreteDplr {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly w: readonly Float64Array[];
  readonly f: readonly Float64Array[];
}

/**
 * The bilinear rule (S4, equation 3) for Λ, B (n, 2) and each P_r (n, 2), half. It is Ā = 2 (I − Δ/2 A)⁻¹ − I, and with
 * d = 1 / (1 − Δ/2 Λ) Woodbury's identity gives
 *   (I − Δ/2 A)⁻¹ = d − d P R P* d        R = Δ/2 (I + Δ/2 P* d P)⁻¹
 * so a = 2 d − 1, w = d P R, f = 4 P̄ d, and B̄ = Δ (d B − w P* d B).
 */
export function discreteDplr(
  lambda: Float64Array,
  P: readonly Float64Array[],
  B: Float64Array,
  delta: number,
): DiscreteDplr {
  const one = lambda.map((_, i) => (i % 2 === 0 ? 1 : 0));
  const d = quotient(
    one,
    lambda.map((v, i) => one[i] - (delta / 2) * v),
  );
  const dP = P.map((row) => product(row, d));
  const f = P.map((row) => product(conjugate(row), d).map((v) => 4 * v));
  const R = inverse(
    P.map((row, r) => dP.map((column, s) => (r === s ? 1 : 0) + delta * inner(row, column)[0])),
  );
  const w = P.map((_, s) => combine(dP, (r) => (delta / 2) * R[r][s]));
  const dB = product(d, B);
  const low = combine(w, (r) => 2 * inner(P[r], dB)[0]);
  return {
    a: d.map((v, i) => 2 * v - one[i]),
    b: dB.map((v, i) => delta * (v - low[i])),
    w,
    f,
  };
}

/**
 * C̃ = C (I − Ā^length) (n, 2), half, of a readout C of y = 2 Re Σ C h: what S4 trains in place of C (its section 3.3). As
 * `truncatedC`, but row by row, C Ā = C ⊙ a − Σ_r f_r Re Σ_n C w_r: O(n · length).
 */
export function truncatedReadout(C: Float64Array, { a, w, f }: DiscreteDplr, length: number): Float64Array {
  const row = C.slice();
  for (let l = 0; l < length; l++) {
    const low = w.map((column) => realOf(row, column));
    for (let i = 0; i < row.length; i += 2) {
      const [re, im] = [row[i], row[i + 1]];
      row[i] = re * a[i] - im * a[i + 1];
      row[i + 1] = re * a[i + 1] + im * a[i];
      for (let r = 0; r < low.length; r++) {
        row[i] -= low[r] * f[r][i];
        row[i + 1] -= low[r] * f[r][i + 1];
      }
    }
  }
  return C.map((v, i) => v - row[i]);
}

/** Σ_n x̄ y. */
export function inner(x: Float64Array, y: Float64Array): [re: number, im: number] {
  let re = 0;
  let im = 0;
  for (let i = 0; i < x.length; i += 2) {
    re += x[i] * y[i] + x[i + 1] * y[i + 1];
    im += x[i] * y[i + 1] - x[i + 1] * y[i];
  }
  return [re, im];
}

/** Re Σ_n x y. */
function realOf(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i += 2) sum += x[i] * y[i] - x[i + 1] * y[i + 1];
  return sum;
}

function product(x: Float64Array, y: Float64Array): Float64Array {
  const xy = new Float64Array(x.length);
  for (let i = 0; i < x.length; i += 2) {
    xy[i] = x[i] * y[i] - x[i + 1] * y[i + 1];
    xy[i + 1] = x[i] * y[i + 1] + x[i + 1] * y[i];
  }
  return xy;
}

function quotient(x: Float64Array, y: Float64Array): Float64Array {
  return product(
    x,
    y.map((v, i) => (i % 2 === 0 ? v : -v) / (y[i - (i % 2)] ** 2 + y[i + 1 - (i % 2)] ** 2)),
  );
}

/** Σ_r c(r) x_r. */
function combine(x: readonly Float64Array[], c: (r: number) => number): Float64Array {
  return x[0].map((_, i) => x.reduce((sum, column, r) => sum + c(r) * column[i], 0));
}

/** The inverse of a real matrix with one or two rows. */
function inverse(M: readonly (readonly number[])[]): number[][] {
  if (M.length === 1) return [[1 / M[0][0]]];
  const [[p, q], [r, s]] = M;
  const scale = 1 / (p * s - q * r);
  return [
    [s * scale, -q * scale],
    [-r * scale, p * scale],
  ];
}
