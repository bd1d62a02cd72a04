/**
 * Normal plus low rank (S4, arXiv 2111.00396, theorem 1): HiPPO matrices have no usable eigenvectors (lemma 3.2), but
 * A + Σᵣ Pᵣ Pᵣᵀ, with one or two vectors added, is a multiple of I plus a skew-symmetric matrix. Those have unitary
 * eigenvectors V, and in their basis A is diagonal minus low rank:
 *
 *   A = V (Λ − P P*) V*        S4's Λ − P Q* with Q = P, which keeps A stable (SaShiMi, arXiv 2202.09729)
 */
import { asComplex, asReal, at, conjugate, withConjugates } from "./complex.ts";
import { skewEigen } from "./eigen.ts";
import { fourier, fourierDecay, fourierNormal, lagT, legS, legSNormal, legT, type System } from "./hippo.ts";
import { identity, matmul, transpose } from "./linalg.ts";

/** A system and the P (rank, N) that makes A + Pᵀ P normal. */
export type Nplr = System & { P: Float64Array };

/** A system in the basis of `dplr`: n = N/2 of its N states, the others being their conjugates. */
export type Dplr = {
  /** Λ (n, 2), by ascending imaginary part, all of them negative or 0. */
  lambda: Float64Array;
  /** (rank, n, 2). */
  P: Float64Array;
  /** V* B (n, 2). */
  B: Float64Array;
  /** The first n columns of V (N, n, 2). */
  V: Float64Array;
};

/** The NPLR form of each measure, at the time scale that S4 begins with: a window of 2. */
const forms = {
  legS: (N: number) => ({ ...legS(N), P: vector(N, (n) => Math.sqrt(n + 1 / 2)) }),
  legSNormal: (N: number) => ({ ...legSNormal(N), P: new Float64Array(N) }),
  legT: (N: number) => ({
    ...legT(N, 2),
    P: vector(2 * N, (i) => ((i % N) % 2 === (i < N ? 1 : 0) ? Math.sqrt((i % N) + 1 / 2) : 0)),
  }),
  lagT: (N: number) => ({ ...lagT(N), P: vector(N, () => Math.SQRT1_2) }),
  fourier: (N: number) => ({ ...fourier(N, 2), P: fourier(N, 2).B }),
  fourierDecay: (N: number) => ({
    ...fourierDecay(N, 2),
    P: fourierDecay(N, 2).B.map((b) => Math.SQRT2 * b),
  }),
  fourierNormal: (N: number) => ({ ...fourierNormal(N), P: new Float64Array(N) }),
};

export type Measure = keyof typeof forms;

/** The measures that have an NPLR form. */
export const measures = Object.keys(forms) as readonly Measure[];

/** A, B and P of a measure: rank 2 for LegT, else 1 (0 for what is normal already, kept as a P of zeros). */
export function nplr(measure: Measure, N: number): Nplr {
  return forms[measure](N);
}

/**
 * The same system in the basis that diagonalises A + Pᵀ P = c I + S, S skew: Λ = c + iμ, and P, B turned by V*.
 * @throws RangeError for odd N, which leaves a real state without a conjugate, or when A + Pᵀ P is no such sum.
 */
export function dplr({ A, B, P }: Nplr): Dplr {
  const N = B.length;
  if (N % 2 === 1) throw new RangeError(`dplr: N must be even, got ${N}.`);
  const M = normalPart(A, P, N);
  const Mt = transpose(M, N);
  const c = M.reduce((sum, m, i) => (i % (N + 1) === 0 ? sum + m : sum), 0) / N;
  const I = identity(N);
  const off = M.reduce((worst, m, i) => Math.max(worst, Math.abs((m + Mt[i]) / 2 - c * I[i])), 0);
  const size = A.reduce((most, a) => Math.max(most, Math.abs(a)), 0);
  if (!(off <= 1e-10 * size)) {
    throw new RangeError(
      `dplr: A + Pᵀ P must be c I plus a skew-symmetric matrix, got one ${off} away from it.`,
    );
  }
  const { values, vectors } = skewEigen(M.map((m, i) => (m - Mt[i]) / 2));
  const n = N / 2;
  const V = new Float64Array(2 * N * n);
  for (let i = 0; i < N; i++) V.set(vectors.subarray(2 * i * N, 2 * (i * N + n)), 2 * i * n);
  const zero = -values[2 * n - 1] <= 1e-12 * size;
  if (zero) pairRealVectors(V, vectors, N);
  const lambda = Float64Array.from({ length: N }, (_, i) => (i % 2 === 0 ? c : values[i]));
  if (zero) lambda[N - 1] = 0;
  const rows = Array.from({ length: P.length / N }, (_, r) => [...turned(V, P.subarray(r * N, (r + 1) * N))]);
  return { lambda, P: Float64Array.from(rows.flat()), B: turned(V, B), V };
}

/** A (N, N) of a system in DPLR form, from both halves of it: A = V (Λ − P P*) V*, real. */
export function denseOf({ lambda, P, V }: Dplr): Float64Array {
  const n = lambda.length / 2;
  const N = 2 * n;
  const inner = asReal(dplrMatrix(withConjugates(lambda), withConjugates(P, n)), N);
  const outer = asReal(withConjugates(V, n), N);
  const back = asComplex(matmul(matmul(outer, inner, 2 * N), transpose(outer, 2 * N), 2 * N), N);
  return back.filter((_, i) => i % 2 === 0);
}

/** Λ − Σᵣ Pᵣ Pᵣ* (N, N, 2) of Λ (N, 2) and P (rank, N, 2), all N states given. */
export function dplrMatrix(lambda: Float64Array, P: Float64Array): Float64Array {
  const N = lambda.length / 2;
  const A = new Float64Array(2 * N * N);
  for (let i = 0; i < N; i++) {
    A.set(at(lambda, i), 2 * i * (N + 1));
    for (let j = 0; j < N; j++) {
      for (let r = 0; r < P.length / (2 * N); r++) {
        const [a, b] = at(P, r * N + i);
        const [c, d] = at(P, r * N + j);
        A[2 * (i * N + j)] -= a * c + b * d;
        A[2 * (i * N + j) + 1] -= b * c - a * d;
      }
    }
  }
  return A;
}

/**
 * The eigenvectors of A of LegS, exactly, as columns (N, N): A V = V diag(−1, −2, …, −N) with
 * V[n,k] = (−1)ⁿ √(2n+1) binom(n+k, n−k) (S4, lemma 3.2, in the scale of `legS`). They reach about 2^(4N/3).
 */
export function legSEigenvectors(N: number): Float64Array {
  const V = new Float64Array(N * N);
  for (let k = 0; k < N; k++) {
    let binomial = 1; // binom(n+k, n−k), from n to n + 1: times (n+k+1)/(n+1−k)
    for (let n = k; n < N; n++) {
      V[n * N + k] = (n % 2 === 0 ? 1 : -1) * Math.sqrt(2 * n + 1) * binomial;
      binomial *= (n + k + 1) / (n + 1 - k);
    }
  }
  return V;
}

function normalPart(A: Float64Array, P: Float64Array, N: number): Float64Array {
  return A.map((a, i) => {
    let sum = a;
    for (let r = 0; r < P.length; r += N) sum += P[r + Math.floor(i / N)] * P[r + (i % N)];
    return sum;
  });
}

/** V* x (n, 2) for a real x (N). */
function turned(V: Float64Array, x: Float64Array): Float64Array {
  const n = V.length / (2 * x.length);
  const product = new Float64Array(2 * n);
  for (let i = 0; i < x.length; i++) {
    for (let k = 0; k < 2 * n; k++) product[k] += V[2 * i * n + k] * x[i];
  }
  return conjugate(product);
}

/**
 * Where 0 is an eigenvalue twice, its two eigenvectors may be taken real, a and b; (a + ib)/√2 and its conjugate then span
 * the same plane, so that here too one half of V is the conjugate of the other. Replaces the last column of V.
 */
function pairRealVectors(V: Float64Array, vectors: Float64Array, N: number): void {
  const n = N / 2;
  const column = (k: number, part: number) => vector(N, (i) => vectors[2 * (i * N + k) + part]);
  const a = unit(column(n - 1, 0));
  const others = [column(n, 0), column(n, 1), column(n - 1, 1)].map((x) => {
    const along = x.reduce((sum, v, i) => sum + v * a[i], 0);
    return x.map((v, i) => v - along * a[i]);
  });
  const b = unit(others.reduce((best, x) => (Math.hypot(...x) > Math.hypot(...best) ? x : best)));
  for (let i = 0; i < N; i++) V.set([a[i] * Math.SQRT1_2, b[i] * Math.SQRT1_2], 2 * (i * n + n - 1));
}

function unit(x: Float64Array): Float64Array {
  const size = Math.hypot(...x);
  return x.map((v) => v / size);
}

function vector(length: number, entry: (n: number) => number): Float64Array {
  return Float64Array.from({ length }, (_, n) => entry(n));
}
