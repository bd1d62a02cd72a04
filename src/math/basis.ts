/**
 * What the coefficients of HiPPO mean: the basis functions of each measure of hippo.ts, such that
 * u(t − age) ≈ Σₙ xₙ basisₙ(age), and how much each age counts. Orthonormal: ∫ basisₙ basisₖ weight = 1 for n = k, else 0.
 */

/** √(2n+1) Pₙ(v), n = 0 … N − 1: the Legendre polynomials on [−1, 1], of norm 1 under the weight ½. */
export function legendre(N: number, v: number): Float64Array {
  const P = legendrePolynomials(N, v);
  return P.map((p, n) => Math.sqrt(2 * n + 1) * p);
}

/** Of `legS` used as it is, S4's way: Legendre in 2e^−age − 1, weight `exponentialWeight`. */
export function legSBasis(N: number, age: number): Float64Array {
  return legendre(N, 2 * Math.exp(-age) - 1);
}

/** Of `legS` divided by t: the sample at the fraction `v` of the past, from 0, the first one, to 1, now. */
export function legSHistoryBasis(N: number, v: number): Float64Array {
  return legendre(N, 2 * v - 1);
}

/** Of `legT`: Legendre in 1 − 2 age/θ, weight `windowWeight`. */
export function legTBasis(N: number, age: number, window = 1): Float64Array {
  return legendre(N, 1 - (2 * age) / window);
}

/** Of `lmu`: Legendre polynomials in 2 age/θ − 1 as they are, of norm 1/√(2n+1). */
export function lmuBasis(N: number, age: number, window = 1): Float64Array {
  return legendrePolynomials(N, (2 * age) / window - 1);
}

/** Of `lagT`, whose tilt puts the weight into the basis (weight 1): e^(−age/2) Lₙ(age), the Laguerre polynomials. */
export function lagTBasis(N: number, age: number): Float64Array {
  const L = new Float64Array(N);
  L[0] = Math.exp(-age / 2);
  if (N > 1) L[1] = (1 - age) * L[0];
  for (let n = 1; n < N - 1; n++) L[n + 1] = ((2 * n + 1 - age) * L[n] - n * L[n - 1]) / (n + 1);
  return L;
}

/** Of `fourier`: 1, 0, √2 cos 2πs, √2 sin 2πs, √2 cos 4πs, … with s = age/θ, weight `windowWeight`. */
export function fourierBasis(N: number, age: number, window = 1): Float64Array {
  return Float64Array.from({ length: N }, (_, n) => {
    const angle = (2 * Math.PI * Math.floor(n / 2) * age) / window;
    if (n < 2) return 1 - n;
    return Math.SQRT2 * (n % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
}

/** The weight of `legT` and `fourier`: 1/θ for the last θ, nothing before. */
export function windowWeight(age: number, window = 1): number {
  return age >= 0 && age <= window ? 1 / window : 0;
}

/** The weight of `legS` used as it is: e^−age. */
export function exponentialWeight(age: number): number {
  return age >= 0 ? Math.exp(-age) : 0;
}

/** Σₙ cₙ basisₙ for each row of basis functions, (points, N): the signal that the coefficients c (N) stand for. */
export function recall(c: Float64Array, rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows, (row) => row.reduce((sum, value, n) => sum + value * c[n], 0));
}

/** Pₙ(v) by (n+1) Pₙ₊₁ = (2n+1) v Pₙ − n Pₙ₋₁. */
function legendrePolynomials(N: number, v: number): Float64Array {
  const P = new Float64Array(N);
  P[0] = 1;
  if (N > 1) P[1] = v;
  for (let n = 1; n < N - 1; n++) P[n + 1] = ((2 * n + 1) * v * P[n] - n * P[n - 1]) / (n + 1);
  return P;
}
