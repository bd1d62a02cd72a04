/**
 * Eigenvalues of the matrices that the papers diagonalise. A skew-symmetric one is diagonalised by a unitary matrix and
 * without loss, here; a general one by whatever its eigenvectors are, which for HiPPO is hopeless, by a library.
 */
import { at, div, mul } from "./complex.ts";
import { identity } from "./linalg.ts";

/** Eigenvalues (N, 2) and eigenvectors, the columns of V (N, N, 2). */
export type Eigen = { values: Float64Array; vectors: Float64Array };

/**
 * S = V diag(iμ) V* for a real S = −Sᵀ (N, N): V unitary, μ ascending. With Householder reflections Q, S = Q T Qᵀ is
 * tridiagonal, and with D = diag(iᵏ), −iT = D R D* is real and symmetric: R = Z diag(μ) Zᵀ, V = Q D Z. Every column is
 * turned so that its first large entry is real and positive.
 * @throws RangeError when S is not square and skew-symmetric.
 */
export function skewEigen(S: Float64Array): Eigen {
  const N = Math.round(Math.sqrt(S.length));
  for (let i = 0; i < S.length; i++) {
    const mirrored = S[(i % N) * N + Math.floor(i / N)];
    if (N * N !== S.length || S[i] !== -mirrored) {
      throw new RangeError(`skewEigen: S must be (N, N) with S = −Sᵀ, got ${S[i]} opposite ${mirrored}.`);
    }
  }
  const scale = S.reduce((most, s) => Math.max(most, Math.abs(s)), 0) || 1; // squares of entries are to stay numbers
  const { Q, subdiagonal } = tridiagonal(
    S.map((s) => s / scale),
    N,
  );
  const { mu, Zt } = tridiagonalEigen(subdiagonal.map((t) => -t));
  const order = Array.from(mu.keys()).sort((i, j) => mu[i] - mu[j]);
  const values = new Float64Array(2 * N);
  const vectors = new Float64Array(2 * N * N);
  for (const [column, from] of order.entries()) {
    values[2 * column + 1] = mu[from] * scale;
    for (let row = 0; row < N; row++) {
      const sums = [0, 0]; // even powers of i are real, odd ones imaginary
      for (let k = 0; k < N; k++) sums[k % 2] += (k % 4 < 2 ? 1 : -1) * Q[row * N + k] * Zt[from * N + k];
      vectors.set(sums, 2 * (row * N + column));
    }
    turn(vectors, N, column);
  }
  return { values, vectors };
}

/**
 * A = V diag(λ) V⁻¹ of a general real A (N, N), by the QR algorithm of ml-matrix, loaded when this is called. The
 * columns of V have length 1. The order is the library's, which overflows where entries of very different size meet.
 */
export async function generalEigen(A: Float64Array): Promise<Eigen> {
  const { Matrix, EigenvalueDecomposition } = await import("ml-matrix");
  const N = Math.round(Math.sqrt(A.length));
  const rows = Array.from({ length: N }, (_, i) => A.slice(i * N, (i + 1) * N));
  const found = new EigenvalueDecomposition(new Matrix(rows), { assumeSymmetric: false });
  const [re, im] = [found.realEigenvalues, found.imaginaryEigenvalues];
  const V = found.eigenvectorMatrix;
  const vectors = new Float64Array(2 * N * N);
  for (let column = 0; column < N; column++) {
    // A conjugate pair a ± ib stands in two columns, x and y, of which the eigenvectors are x ± iy.
    const partner = im[column] > 0 ? 1 : im[column] < 0 ? -1 : 0;
    const real = partner < 0 ? column - 1 : column;
    let size = 0;
    for (let i = 0; i < N; i++) {
      size = Math.hypot(size, V.get(i, real), partner === 0 ? 0 : V.get(i, real + 1));
    }
    for (let i = 0; i < N; i++) {
      vectors[2 * (i * N + column)] = V.get(i, real) / size;
      vectors[2 * (i * N + column) + 1] = partner === 0 ? 0 : (partner * V.get(i, real + 1)) / size;
    }
  }
  return { values: Float64Array.from({ length: 2 * N }, (_, i) => (i % 2 ? im : re)[i >> 1]), vectors };
}

/**
 * Orthogonal Q with S = Q T Qᵀ, T skew and tridiagonal, by reflections H = I − βvvᵀ. As vᵀSv = 0,
 * H S H = S + v pᵀ − p vᵀ with p = βSv (Golub & Van Loan, section 8.3.1, for a skew matrix).
 */
function tridiagonal(S: Float64Array, N: number): { Q: Float64Array; subdiagonal: Float64Array } {
  const T = S.slice();
  const Q = identity(N);
  const p = new Float64Array(N);
  for (let k = 0; k < N - 2; k++) {
    const v = new Float64Array(N);
    let rest = 0;
    for (let i = k + 1; i < N; i++) {
      v[i] = T[i * N + k];
      if (i > k + 1) rest += v[i] * v[i];
    }
    if (rest < 1e-280) continue; // nothing beside the largest entry, 1, and 2/rest would overflow
    v[k + 1] += (v[k + 1] < 0 ? -1 : 1) * Math.sqrt(v[k + 1] ** 2 + rest);
    const beta = 2 / (v[k + 1] ** 2 + rest);
    for (let i = 0; i < N; i++) p[i] = beta * rowDot(T, N, i, v, k + 1);
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) T[i * N + j] += v[i] * p[j] - p[i] * v[j];
    }
    for (let i = 0; i < N; i++) {
      const share = beta * rowDot(Q, N, i, v, k + 1);
      for (let j = k + 1; j < N; j++) Q[i * N + j] -= share * v[j];
    }
  }
  return { Q, subdiagonal: Float64Array.from({ length: N - 1 }, (_, k) => T[(k + 1) * N + k]) };
}

function rowDot(X: Float64Array, N: number, row: number, v: Float64Array, from: number): number {
  let sum = 0;
  for (let j = from; j < N; j++) sum += X[row * N + j] * v[j];
  return sum;
}

/**
 * Eigenvalues (N) and orthonormal eigenvectors, the rows of Zᵀ (N, N), of the symmetric tridiagonal matrix that has a zero
 * diagonal and this subdiagonal (N − 1), of entries near 1: the implicit QR algorithm (Golub & Van Loan, algorithm 8.3.3).
 */
function tridiagonalEigen(subdiagonal: Float64Array): { mu: Float64Array; Zt: Float64Array } {
  const N = subdiagonal.length + 1;
  const d = new Float64Array(N);
  const e = subdiagonal.slice();
  const Zt = identity(N);
  for (let last = N - 1; last > 0;) {
    if (Math.abs(e[last - 1]) <= Number.EPSILON) {
      e[--last] = 0;
      continue;
    }
    let first = last - 1;
    while (first > 0 && Math.abs(e[first - 1]) > Number.EPSILON) first--;
    qrStep(d, e, Zt, first, last);
  }
  return { mu: d, Zt };
}

/** One step on rows first … last with Wilkinson's shift: the bulge z that the first rotation makes is chased down. */
function qrStep(d: Float64Array, e: Float64Array, Zt: Float64Array, first: number, last: number): void {
  const N = d.length;
  const half = (d[last - 1] - d[last]) / 2;
  const corner = e[last - 1];
  const shift = d[last] - corner ** 2 / (half + (half < 0 ? -1 : 1) * Math.hypot(half, corner));
  let x = d[first] - shift;
  let z = e[first];
  for (let k = first; k < last; k++) {
    const r = Math.hypot(x, z);
    const [c, s] = r === 0 ? [1, 0] : [x / r, -z / r];
    const [a, b, g] = [d[k], e[k], d[k + 1]];
    if (k > first) e[k - 1] = r;
    d[k] = c * c * a - 2 * c * s * b + s * s * g;
    d[k + 1] = s * s * a + 2 * c * s * b + c * c * g;
    e[k] = c * s * (a - g) + (c * c - s * s) * b;
    x = e[k];
    if (k < last - 1) {
      z = -s * e[k + 1];
      e[k + 1] *= c;
    }
    for (let i = 0; i < N; i++) {
      const [p, q] = [Zt[k * N + i], Zt[(k + 1) * N + i]];
      Zt[k * N + i] = c * p - s * q;
      Zt[(k + 1) * N + i] = s * p + c * q;
    }
  }
}

/** Multiplies a column of V (N, N, 2) by the phase that makes its first entry of at least half the largest positive. */
function turn(V: Float64Array, N: number, column: number): void {
  const sizes = Float64Array.from({ length: N }, (_, row) => {
    const i = 2 * (row * N + column);
    return Math.hypot(V[i], V[i + 1]);
  });
  const largest = sizes.reduce((most, size) => Math.max(most, size));
  const pivot = sizes.findIndex((size) => size >= largest / 2);
  const size = sizes[pivot];
  const phase = div([size, 0], at(V, pivot * N + column));
  for (let row = 0; row < N; row++) {
    const i = row * N + column;
    V.set(row === pivot ? [size, 0] : mul(at(V, i), phase), 2 * i);
  }
}
