/**
 * The filter K̄ of a linear system, y = K̄ ∗ u: K̄_l = C Āˡ B̄ for l = 0 … length − 1. By powers of Ā as it is written
 * (LSSL, O(N² length)), by the generating function of a diagonal plus low rank A (S4), by a Vandermonde product of a
 * diagonal one (S4D); the last two in O(N length) and tested by the first.
 */
import {
  add,
  asComplex,
  asReal,
  at,
  type Complex,
  conjugate,
  div,
  mul,
  rootOfUnity,
  sub,
} from "./complex.ts";
import { bilinear, type Discrete } from "./discretize.ts";
import { vandermonde } from "./diagonal.ts";
import { ifft } from "./fft.ts";
import { identity, matmul, power, solve, transpose } from "./linalg.ts";
import { dplrMatrix } from "./nplr.ts";

/** K̄ (length) by powers, the definition (LSSL, arXiv 2110.13985, equation 7): C (N), dense Ā (N, N), B̄ (N). */
export function naiveFilter(
  Abar: Float64Array,
  Bbar: Float64Array,
  C: Float64Array,
  length: number,
): Float64Array {
  const N = Bbar.length;
  let x = Bbar;
  return Float64Array.from({ length }, (_, l) => {
    if (l > 0) x = matmul(Abar, x, N);
    return C.reduce((sum, c, n) => sum + c * x[n], 0);
  });
}

/** K̄ (length) of a diagonal system kept by halves (S4D, equation 6): K̄_l = 2 Re Σₙ Cₙ B̄ₙ Āₙˡ; all arrays (n, 2). */
export function vandermondeFilter({ Abar, Bbar }: Discrete, C: Float64Array, length: number): Float64Array {
  const v = new Float64Array(C.length);
  for (let n = 0; n < C.length / 2; n++) v.set(mul(at(C, n), at(Bbar, n)), 2 * n);
  return vandermonde(v, Abar, length)
    .filter((_, i) => i % 2 === 0)
    .map((re) => 2 * re);
}

/** Cauchy sums Σₙ vₙ/(z_l − xₙ) for each z: v, x (N, 2) and z (L, 2) → (L, 2). */
export function cauchy(v: Float64Array, x: Float64Array, z: Float64Array): Float64Array {
  const sums = new Float64Array(z.length);
  for (let l = 0; l < z.length / 2; l++) {
    let sum: Complex = [0, 0];
    for (let n = 0; n < v.length / 2; n++) sum = add(sum, div(at(v, n), sub(at(z, l), at(x, n))));
    sums.set(sum, 2 * l);
  }
  return sums;
}

/**
 * K̄ (length), its real part, of A = Λ − P P* under the bilinear rule (S4, arXiv 2111.00396, algorithm 1), from all N states:
 * Λ, B, C̃ (N, 2) and P (rank, N, 2); `withConjugates` makes them of halves. C̃ = C (I − Ā^length) comes from `truncatedC`.
 * The transform of K̄ at the roots of unity ω is, with g = 2/Δ (1−ω)/(1+ω), the sums (vw) = Σₙ vₙ wₙ/(g − Λₙ), and
 * Woodbury's identity for the rank,
 *   K̂(ω) = 2/(1+ω) [(C̃B) − (C̃P)(I + (P*P))⁻¹(P*B)]
 * A Λₙ = 0 is a pole at ω = 1, where there is no such sum: S4 keeps Re Λ below −1e-4.
 */
export function cauchyFilter(
  lambda: Float64Array,
  P: Float64Array,
  B: Float64Array,
  Ctilde: Float64Array,
  delta: number,
  length: number,
): Float64Array {
  const size = lambda.length;
  const vectors = Array.from({ length: P.length / size }, (_, r) => P.subarray(r * size, (r + 1) * size));
  const left = [Ctilde, ...vectors.map(conjugate)];
  const right = [B, ...vectors];
  const spectrum = new Float64Array(2 * length);
  for (let j = 0; j < length; j++) {
    const omega = rootOfUnity(-j, length);
    const above = sub([1, 0], omega);
    const below = add([1, 0], omega);
    // 2/(1+ω) (vw) = Σ vₙ wₙ Δ / ((1−ω) − Δ/2 (1+ω) Λₙ): finite at ω = −1 too, where g is not.
    const weights = new Float64Array(size);
    for (let n = 0; n < size / 2; n++) {
      const reach = mul(below, at(lambda, n));
      weights.set(div([delta, 0], sub(above, [(delta / 2) * reach[0], (delta / 2) * reach[1]])), 2 * n);
    }
    const sums = left.map((v) => right.map((w) => weighted(weights, v, w)));
    spectrum.set(woodbury(sums, [below[0] / 2, below[1] / 2]), 2 * j);
  }
  return ifft(spectrum).filter((_, i) => i % 2 === 0);
}

/**
 * C̃ = C (I − Ā^length) (N, 2), with which the generating function stops at `length` (S4, section 3.3): what `cauchyFilter`
 * takes and S4 trains. Ā is that of Λ − P P* under the bilinear rule. O(N³ log length).
 */
export function truncatedC(
  lambda: Float64Array,
  P: Float64Array,
  C: Float64Array,
  delta: number,
  length: number,
): Float64Array {
  const N = lambda.length / 2;
  return asComplex(matmul(asReal(C, N), untilEnd(lambda, P, delta, length), 2 * N), N);
}

/** C (N, 2) of C̃ (N, 2): undoes `truncatedC`, for the recurrence. */
export function recoveredC(
  lambda: Float64Array,
  P: Float64Array,
  Ctilde: Float64Array,
  delta: number,
  length: number,
): Float64Array {
  const N = lambda.length / 2;
  const rest = transpose(untilEnd(lambda, P, delta, length), 2 * N);
  const row = solve(rest, transpose(asReal(Ctilde, N), 2 * N));
  return asComplex(transpose(row, 2), N);
}

/** I − Ā^length, as a real matrix (2N, 2N). */
function untilEnd(lambda: Float64Array, P: Float64Array, delta: number, length: number): Float64Array {
  const A = asReal(dplrMatrix(lambda, P), lambda.length / 2);
  const { Abar } = bilinear(A, new Float64Array(lambda.length), delta);
  const I = identity(lambda.length);
  return power(Abar, length).map((a, i) => I[i] - a);
}

/** Σₙ kₙ vₙ wₙ. */
function weighted(k: Float64Array, v: Float64Array, w: Float64Array): Complex {
  let sum: Complex = [0, 0];
  for (let n = 0; n < k.length / 2; n++) sum = add(sum, mul(at(k, n), mul(at(v, n), at(w, n))));
  return sum;
}

/**
 * s₀₀ − s₀ᵣ (I + h S)⁻¹ h sᵣ₀, S the sums of P* with P, for sums that all carry the factor 1/h = 2/(1+ω). Eliminating the
 * rows of [s₀₀ s₀ᵣ; h sᵣ₀ I + h S] from the last upwards leaves it in the corner.
 */
function woodbury(sums: readonly (readonly Complex[])[], h: Complex): Complex {
  const M = sums.map((row, i) =>
    row.map((s, j): Complex => (i === 0 ? s : add(mul(h, s), i === j ? [1, 0] : [0, 0]))),
  );
  for (let k = M.length - 1; k > 0; k--) {
    for (let i = 0; i < k; i++) {
      const factor = div(M[i][k], M[k][k]);
      for (let j = 0; j < k; j++) M[i][j] = sub(M[i][j], mul(factor, M[k][j]));
    }
  }
  return M[0][0];
}
