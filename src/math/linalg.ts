/**
 * Small dense matrices: a Float64Array in row-major order, sizes read off its length. Cubic loops, meant for N up to a
 * few hundred, where the papers state their equations; anything larger is an op.
 */

/** I (N, N). */
export function identity(N: number): Float64Array {
  const I = new Float64Array(N * N);
  for (let i = 0; i < N; i++) I[i * N + i] = 1;
  return I;
}

/**
 * X Y with X (rows, inner) and Y (inner, columns); rows and columns follow from the lengths.
 * @throws RangeError when a length is not a multiple of `inner`.
 */
export function matmul(X: Float64Array, Y: Float64Array, inner: number): Float64Array {
  const rows = X.length / inner;
  const columns = Y.length / inner;
  if (!Number.isInteger(rows) || !Number.isInteger(columns)) {
    throw new RangeError(
      `matmul: X must be (rows, inner) and Y (inner, columns) with inner = ${inner}, got ${X.length} and ${Y.length} numbers.`,
    );
  }
  const product = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const x = X[i * inner + k];
      for (let j = 0; j < columns; j++) product[i * columns + j] += x * Y[k * columns + j];
    }
  }
  return product;
}

/** Aᵀ of A (rows, columns). */
export function transpose(A: Float64Array, columns: number): Float64Array {
  const rows = A.length / columns;
  return A.map((_, i) => A[(i % rows) * columns + Math.floor(i / rows)]);
}

/** Aᵏ of A (N, N) for a whole k ≥ 0, in log₂ k squarings. @throws RangeError for another k, or A that is not square. */
export function power(A: Float64Array, k: number): Float64Array {
  const N = order("power", A);
  if (!(Number.isInteger(k) && k >= 0))
    throw new RangeError(`power: k must be a whole number ≥ 0, got ${k}.`);
  let product = identity(N);
  for (let square = A; k > 0; k = Math.floor(k / 2)) {
    if (k % 2 === 1) product = matmul(product, square, N);
    if (k > 1) square = matmul(square, square, N);
  }
  return product;
}

/**
 * X with A X = B, for A (N, N) and B (N, columns): Gaussian elimination with partial pivoting
 * (Golub & Van Loan, Matrix Computations, 4th ed., algorithm 3.4.1), then back substitution.
 * @throws RangeError when the sizes disagree or a pivot is exactly zero (A is singular).
 */
export function solve(A: Float64Array, B: Float64Array): Float64Array {
  const N = order("solve", A);
  const columns = B.length / N;
  if (!Number.isInteger(columns)) {
    throw new RangeError(`solve: B must be (N, columns) with N = ${N}, got ${B.length} numbers.`);
  }
  const U = A.slice();
  const X = B.slice();
  for (let k = 0; k < N; k++) {
    let pivot = k;
    for (let i = k + 1; i < N; i++) if (Math.abs(U[i * N + k]) > Math.abs(U[pivot * N + k])) pivot = i;
    if (U[pivot * N + k] === 0) {
      throw new RangeError(`solve: A must be invertible, got a singular (${N}, ${N}) matrix.`);
    }
    swapRows(U, N, k, pivot);
    swapRows(X, columns, k, pivot);
    for (let i = k + 1; i < N; i++) {
      const factor = U[i * N + k] / U[k * N + k];
      for (let j = k; j < N; j++) U[i * N + j] -= factor * U[k * N + j];
      for (let j = 0; j < columns; j++) X[i * columns + j] -= factor * X[k * columns + j];
    }
  }
  for (let i = N - 1; i >= 0; i--) {
    for (let j = 0; j < columns; j++) {
      let sum = X[i * columns + j];
      for (let k = i + 1; k < N; k++) sum -= U[i * N + k] * X[k * columns + j];
      X[i * columns + j] = sum / U[i * N + i];
    }
  }
  return X;
}

/**
 * exp(A) for A (N, N): scaling and squaring with the [13/13] Padé approximant (Higham 2005, "The scaling and squaring
 * method for the matrix exponential revisited", algorithm 2.3): A / 2^s has 1-norm at most θ₁₃, then s squarings.
 * @throws RangeError when A is empty, not square, or holds a number that is not finite.
 */
export function expm(A: Float64Array): Float64Array {
  const N = order("expm", A);
  const norm = oneNorm(A, N);
  if (!Number.isFinite(norm)) throw new RangeError(`expm: A must be finite, got a matrix of norm ${norm}.`);
  const squarings = Math.max(0, Math.ceil(Math.log2(norm / THETA_13)));
  let X = pade13(scale(A, 2 ** -squarings), N);
  for (let k = 0; k < squarings; k++) X = matmul(X, X, N);
  return X;
}

/** The largest 1-norm for which the [13/13] approximant is exact to double precision (Higham 2005, table 2.3). */
const THETA_13 = 5.371920351148152;

/** Coefficients b₀ … b₁₃ of the [13/13] Padé numerator (Higham 2005, section 2); the denominator alternates signs. */
const PADE_13 = [
  64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
  670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
];

/** r(A) = (V − U)⁻¹ (V + U), U the odd and V the even part of the numerator; A² is the only power formed by hand. */
function pade13(A: Float64Array, N: number): Float64Array {
  const b = PADE_13;
  const A2 = matmul(A, A, N);
  const A4 = matmul(A2, A2, N);
  const A6 = matmul(A4, A2, N);
  const I = identity(N);
  const combine = (c6: number, c4: number, c2: number, c0: number) =>
    A6.map((x, i) => c6 * x + c4 * A4[i] + c2 * A2[i] + c0 * I[i]);
  const add = (X: Float64Array, Y: Float64Array, sign: number) => X.map((x, i) => x + sign * Y[i]);
  const odd = add(matmul(A6, combine(b[13], b[11], b[9], 0), N), combine(b[7], b[5], b[3], b[1]), 1);
  const U = matmul(A, odd, N);
  const V = add(matmul(A6, combine(b[12], b[10], b[8], 0), N), combine(b[6], b[4], b[2], b[0]), 1);
  return solve(add(V, U, -1), add(V, U, 1));
}

function order(who: string, A: Float64Array): number {
  const N = Math.round(Math.sqrt(A.length));
  if (N === 0 || N * N !== A.length) {
    throw new RangeError(`${who}: A must be a square matrix (N, N) with N ≥ 1, got ${A.length} numbers.`);
  }
  return N;
}

function oneNorm(A: Float64Array, N: number): number {
  const sums = new Float64Array(N);
  for (let i = 0; i < A.length; i++) sums[i % N] += Math.abs(A[i]);
  return sums.reduce((norm, sum) => Math.max(norm, sum), 0);
}

function scale(A: Float64Array, factor: number): Float64Array {
  return A.map((x) => x * factor);
}

function swapRows(X: Float64Array, columns: number, i: number, j: number): void {
  if (i === j) return;
  for (let k = 0; k < columns; k++) {
    [X[i * columns + k], X[j * columns + k]] = [X[j * columns + k], X[i * columns + k]];
  }
}
