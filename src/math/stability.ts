/**
 * What becomes of a matrix that is taken apart and put together again in numbers of a precision: the experiments of S4's
 * section 3.1 and of SaShiMi's (arXiv 2202.09729) section 3.
 */
import { asComplex, asReal, at, mul, sub, withConjugates } from "./complex.ts";
import { type Eigen, generalEigen } from "./eigen.ts";
import { identity, solve, transpose } from "./linalg.ts";
import type { Dplr } from "./nplr.ts";

/** The precision of what is stored and of each addition and product: `Math.fround`, or `inFloat64`. */
export type Round = (x: number) => number;

export const inFloat64: Round = (x) => x;

/** V Λ V⁻¹ (N, N) of real eigenvectors, the columns of V (N, N), and eigenvalues λ (N); V⁻¹ is found in float64. */
export function fromEigenvectors(V: Float64Array, lambda: Float64Array, round: Round): Float64Array {
  const N = lambda.length;
  const scaled = V.map((v, i) => v * lambda[i % N]);
  return product(scaled, solve(V, identity(N)), N, round);
}

/** The same of complex ones, in float64; of the real matrix that they belong to, the real part. */
export function fromEigen({ values, vectors }: Eigen): Float64Array {
  const N = values.length / 2;
  const scaled = new Float64Array(vectors.length);
  for (let i = 0; i < N * N; i++) scaled.set(mul(at(vectors, i), at(values, i % N)), 2 * i);
  const inverse = solve(asReal(vectors, N), identity(2 * N));
  return realPart(product(asReal(scaled, N), inverse, 2 * N, inFloat64), N);
}

/** V (Λ − P Q*) V* (N, N) of a system kept by halves; Q (rank, n, 2) is P unless it is given. */
export function fromDplr({ lambda, P, V }: Omit<Dplr, "B">, round: Round, Q: Float64Array = P): Float64Array {
  const n = lambda.length / 2;
  const N = 2 * n;
  const [left, right] = [withConjugates(P, n), withConjugates(Q, n)];
  const inner = new Float64Array(2 * N * N);
  const whole = withConjugates(lambda);
  for (let i = 0; i < N; i++) inner.set(at(whole, i), 2 * i * (N + 1));
  for (let i = 0; i < N * N; i++) {
    for (let r = 0; r < P.length / N; r++) {
      const [re, im] = at(right, r * N + (i % N));
      inner.set(sub(at(inner, i), mul(at(left, r * N + Math.floor(i / N)), [re, -im])), 2 * i);
    }
  }
  const outer = asReal(withConjugates(V, n), N);
  const turned = product(outer, asReal(inner, N), 2 * N, round);
  return realPart(product(turned, transpose(outer, 2 * N), 2 * N, round), N);
}

/** The largest real part of an eigenvalue of A (N, N): x′ = A x stays bounded when it is below 0. */
export async function spectralAbscissa(A: Float64Array): Promise<number> {
  const { values } = await generalEigen(A);
  return values.reduce((most, value, i) => (i % 2 === 0 ? Math.max(most, value) : most), -Infinity);
}

/** The largest difference, as a part of the largest entry of the truth. NaN when there is one. */
export function relativeError(found: Float64Array, truth: Float64Array): number {
  const largest = truth.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return found.reduce((most, x, i) => Math.max(most, Math.abs(x - truth[i])), 0) / largest;
}

function product(X: Float64Array, Y: Float64Array, N: number, round: Round): Float64Array {
  const [x, y] = [X.map((v) => round(v)), Y.map((v) => round(v))];
  const sums = new Float64Array(N * N);
  for (let i = 0; i < N; i++) {
    for (let k = 0; k < N; k++) {
      const factor = x[i * N + k];
      for (let j = 0; j < N; j++) {
        sums[i * N + j] = round(sums[i * N + j] + round(factor * y[k * N + j]));
      }
    }
  }
  return sums;
}

function realPart(real: Float64Array, N: number): Float64Array {
  return asComplex(real, N).filter((_, i) => i % 2 === 0);
}
