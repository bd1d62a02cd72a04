import { expm, identity, matmul, solve, transpose } from "./linalg.ts";

/**
 * From continuous to discrete: x′ = A x + B u becomes x_k = Ā x_{k−1} + B̄ u_k, one function per rule.
 *
 * Dense rules take A (N, N) in row-major order and B (N); diagonal rules (`…Diagonal`) take the diagonal of A (N) and
 * B (N), and agree with the dense rule of the same name. Δ (`delta`) is the step size, a positive number.
 * Every function throws a RangeError when the sizes disagree, N = 0, or Δ is not positive and finite.
 */
export type Discrete = {
  /** Ā, of the shape of A. */
  Abar: Float64Array;
  /** B̄ (N). */
  Bbar: Float64Array;
};

/**
 * The output equation that goes with a rule, of the state before the update, as in control theory:
 * y_k = C̄ x_k + D̄ u_k and x_{k+1} = Ā x_k + B̄ u_k. C̄ (N).
 */
export type Output = { Cbar: Float64Array; Dbar: number };

/** Forward Euler, GBT with α = 0: Ā = I + ΔA, B̄ = ΔB (HiPPO, arXiv 2008.07669). */
export function euler(A: Float64Array, B: Float64Array, delta: number): Discrete {
  return transform("euler", A, B, delta, 0);
}

/** Backward Euler, GBT with α = 1: Ā = (I − ΔA)⁻¹, B̄ = (I − ΔA)⁻¹ ΔB (HiPPO, arXiv 2008.07669). */
export function backwardEuler(A: Float64Array, B: Float64Array, delta: number): Discrete {
  return transform("backwardEuler", A, B, delta, 1);
}

/** Bilinear, or Tustin: Ā = (I − Δ/2 A)⁻¹ (I + Δ/2 A), B̄ = (I − Δ/2 A)⁻¹ ΔB (S4, arXiv 2111.00396, equation 3). */
export function bilinear(A: Float64Array, B: Float64Array, delta: number): Discrete {
  return transform("bilinear", A, B, delta, 1 / 2);
}

/**
 * Generalized bilinear transform, α from 0 to 1 (LSSL, arXiv 2110.13985, equation 3):
 *   Ā = (I − αΔA)⁻¹ (I + (1−α)ΔA)        B̄ = (I − αΔA)⁻¹ ΔB
 * A RangeError too when I − αΔA is singular, which no A with eigenvalues in the left half plane reaches.
 */
export function gbt(A: Float64Array, B: Float64Array, delta: number, alpha: number): Discrete {
  return transform("gbt", A, B, delta, alpha);
}

/**
 * The output of `gbt`: C̄ = C (I − αΔA)⁻¹, D̄ = D + α C B̄ (Zhang, Chen & Chen 2009, "Digital redesign via the
 * generalised bilinear transformation"), which gives the transfer function C (sI − A)⁻¹ B + D at
 * s = (z − 1) / (Δ (αz + 1 − α)). HiPPO, LSSL and S4 keep C and D instead.
 */
export function gbtOutput(
  A: Float64Array,
  B: Float64Array,
  C: Float64Array,
  D: number,
  delta: number,
  alpha: number,
): Output {
  const { Bbar } = transform("gbtOutput", A, B, delta, alpha);
  checkSize("gbtOutput", "C", C, B.length);
  return {
    Cbar: solve(transpose(identityPlus(A, -alpha * delta), B.length), C),
    Dbar: D + alpha * dot(C, Bbar),
  };
}

/**
 * Zero-order hold, exact when u is constant over each step: Ā = exp(ΔA), B̄ = ∫₀^Δ exp(sA) ds B. Both are blocks of one
 * exponential (Van Loan 1978), which needs no inverse of A, so A may be singular:
 *   exp(Δ [A B; 0 0]) = [Ā B̄; 0 1]
 */
export function zoh(A: Float64Array, B: Float64Array, delta: number): Discrete {
  checkDense("zoh", A, B, delta);
  const { Abar, columns } = augmentedExp(A, B, delta, 1);
  return { Abar, Bbar: columns[0] };
}

/**
 * First-order hold, exact when u is linear over each step (Franklin, Powell & Workman 1998, section 6.3.2).
 * With Γ₁ = ∫₀^Δ exp(sA) ds B and Γ₂ = ∫₀^Δ (1 − s/Δ) exp(sA) ds B,
 *   Ā = exp(ΔA)        B̄ = Γ₁ + Ā Γ₂ − Γ₂        D̄ = D + C Γ₂
 * The discrete state is x_k − Γ₂ u_k, so `fohOutput` belongs to it; C is kept.
 */
export function foh(A: Float64Array, B: Float64Array, delta: number): Discrete {
  checkDense("foh", A, B, delta);
  const { Abar, columns } = augmentedExp(A, B, delta, 2);
  const [gamma1, gamma2] = columns;
  const carried = matmul(Abar, gamma2, B.length);
  return { Abar, Bbar: gamma1.map((g, i) => g + carried[i] - gamma2[i]) };
}

/** The output of `foh`: C̄ = C, D̄ = D + C Γ₂. */
export function fohOutput(
  A: Float64Array,
  B: Float64Array,
  C: Float64Array,
  D: number,
  delta: number,
): Output {
  checkDense("fohOutput", A, B, delta);
  checkSize("fohOutput", "C", C, B.length);
  const gamma2 = augmentedExp(A, B, delta, 2).columns[1];
  return { Cbar: C.slice(), Dbar: D + dot(C, gamma2) };
}

/** `gbt` of a diagonal A (N): Ā = (1 + (1−α)ΔA) / (1 − αΔA), B̄ = ΔB / (1 − αΔA). */
export function gbtDiagonal(A: Float64Array, B: Float64Array, delta: number, alpha: number): Discrete {
  return transformDiagonal("gbtDiagonal", A, B, delta, alpha);
}

/** `bilinear` of a diagonal A (N): Ā = (1 + Δ/2 A) / (1 − Δ/2 A), B̄ = ΔB / (1 − Δ/2 A) (S4D, arXiv 2206.11893). */
export function bilinearDiagonal(A: Float64Array, B: Float64Array, delta: number): Discrete {
  return transformDiagonal("bilinearDiagonal", A, B, delta, 1 / 2);
}

/** `zoh` of a diagonal A (N): Ā = exp(ΔA), B̄ = (exp(ΔA) − 1) / A · B, which is ΔB at A = 0 (S4D, arXiv 2206.11893). */
export function zohDiagonal(A: Float64Array, B: Float64Array, delta: number): Discrete {
  checkDiagonal("zohDiagonal", A, B, delta);
  return {
    Abar: A.map((a) => Math.exp(delta * a)),
    Bbar: B.map((b, n) => delta * b * expm1Ratio(delta * A[n])),
  };
}

/**
 * Mamba's rule for a diagonal A (N): Ā = exp(ΔA) as in `zohDiagonal`, but B̄ = ΔB, the Euler rule. Equation 4 of the
 * paper (arXiv 2312.00752) writes zero-order hold for both; the official code simplifies B̄.
 */
export function simplifiedZohDiagonal(A: Float64Array, B: Float64Array, delta: number): Discrete {
  checkDiagonal("simplifiedZohDiagonal", A, B, delta);
  return { Abar: A.map((a) => Math.exp(delta * a)), Bbar: B.map((b) => delta * b) };
}

/** (exp(x) − 1) / x. expm1, because exp(x) − 1 loses every digit as x → 0; x itself may underflow to 0, where it is 1. */
function expm1Ratio(x: number): number {
  return x === 0 ? 1 : Math.expm1(x) / x;
}

/**
 * The top N rows of exp([ΔA ΔB; 0 0]) for one hold and of exp([ΔA ΔB 0; 0 0 1; 0 0 0]) for two: Ā, then a column each,
 * Γ₁ the answer to a constant input and Γ₂ to a ramp that reaches 1 at Δ.
 */
function augmentedExp(
  A: Float64Array,
  B: Float64Array,
  delta: number,
  holds: number,
): { Abar: Float64Array; columns: Float64Array[] } {
  const N = B.length;
  const size = N + holds;
  const M = new Float64Array(size * size);
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++) M[i * size + j] = delta * A[i * N + j];
    M[i * size + N] = delta * B[i];
  }
  for (let k = 1; k < holds; k++) M[(N + k - 1) * size + N + k] = 1;
  const E = expm(M);
  const block = (from: number, width: number) =>
    Float64Array.from({ length: N * width }, (_, i) => E[Math.floor(i / width) * size + from + (i % width)]);
  return { Abar: block(0, N), columns: Array.from({ length: holds }, (_, k) => block(N + k, 1)) };
}

function transform(who: string, A: Float64Array, B: Float64Array, delta: number, alpha: number): Discrete {
  checkDense(who, A, B, delta);
  checkAlpha(who, alpha);
  return {
    Abar: solve(identityPlus(A, -alpha * delta), identityPlus(A, (1 - alpha) * delta)),
    Bbar: solve(
      identityPlus(A, -alpha * delta),
      B.map((b) => delta * b),
    ),
  };
}

function transformDiagonal(
  who: string,
  A: Float64Array,
  B: Float64Array,
  delta: number,
  alpha: number,
): Discrete {
  checkDiagonal(who, A, B, delta);
  checkAlpha(who, alpha);
  return {
    Abar: A.map((a) => (1 + (1 - alpha) * delta * a) / (1 - alpha * delta * a)),
    Bbar: B.map((b, n) => (delta * b) / (1 - alpha * delta * A[n])),
  };
}

/** I + cA. */
function identityPlus(A: Float64Array, c: number): Float64Array {
  const I = identity(Math.sqrt(A.length));
  return I.map((x, i) => x + c * A[i]);
}

function dot(x: Float64Array, y: Float64Array): number {
  return x.reduce((sum, value, i) => sum + value * y[i], 0);
}

function checkDense(who: string, A: Float64Array, B: Float64Array, delta: number): void {
  checkStep(who, B, delta);
  const N = B.length;
  if (A.length !== N * N) {
    throw new RangeError(`${who}: A must be (N, N) = (${N}, ${N}) for B (${N}), got ${A.length} numbers.`);
  }
}

function checkDiagonal(who: string, A: Float64Array, B: Float64Array, delta: number): void {
  checkStep(who, B, delta);
  checkSize(who, "A", A, B.length);
}

function checkStep(who: string, B: Float64Array, delta: number): void {
  if (B.length === 0) throw new RangeError(`${who}: B must be (N) with N ≥ 1, got 0 numbers.`);
  if (!(delta > 0 && delta < Infinity)) {
    throw new RangeError(`${who}: delta must be a positive, finite step size, got ${delta}.`);
  }
}

function checkSize(who: string, name: string, X: Float64Array, N: number): void {
  if (X.length !== N) throw new RangeError(`${who}: ${name} must be (N) = (${N}), got ${X.length} numbers.`);
}

function checkAlpha(who: string, alpha: number): void {
  if (!(alpha >= 0 && alpha <= 1)) throw new RangeError(`${who}: alpha must be from 0 to 1, got ${alpha}.`);
}
