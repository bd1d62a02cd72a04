/**
 * Diagonal state spaces with complex entries (S4D, Gu, Gupta, Goel & Ré 2022, arXiv 2206.11893): x′ = Λ x + B u,
 * y = 2 Re C x, of which n = N/2 states are kept and their conjugates implied. Arrays are interleaved (n, 2).
 */
import { add, at, type Complex, div, exp, expm1, mul } from "./complex.ts";
import type { Discrete } from "./discretize.ts";

/** S4D-Lin: Λₙ = −½ − iπn (equation 9), the frequencies of a Fourier basis. */
export function s4dLin(N: number): Float64Array {
  return spectrum("s4dLin", N, (n) => [-1 / 2, -Math.PI * n]);
}

/** S4D-Inv: Λₙ = −½ − i N/π (N/(2n+1) − 1) (equation 8), close to the spectrum of `legSNormal`. */
export function s4dInv(N: number): Float64Array {
  return spectrum("s4dInv", N, (n) => [-1 / 2, (-N / Math.PI) * (N / (2 * n + 1) - 1)]);
}

/** S4D-Inv with another law of decay: Λₙ = −½ − i N/π (N/(n+1) − 1) (section 5.2). */
export function s4dInv2(N: number): Float64Array {
  return spectrum("s4dInv2", N, (n) => [-1 / 2, (-N / Math.PI) * (N / (n + 1) - 1)]);
}

/** S4D-Quad: Λₙ = −½ − i (2n+1)²/π (section 5.2). */
export function s4dQuad(N: number): Float64Array {
  return spectrum("s4dQuad", N, (n) => [-1 / 2, -((2 * n + 1) ** 2) / Math.PI]);
}

/** S4D-Real: Λₙ = −(n+1) (section 5.2), the eigenvalues of LegS, which Mamba begins with. */
export function s4dReal(N: number): Float64Array {
  return spectrum("s4dReal", N, (n) => [-(n + 1), 0]);
}

/** Zero-order hold of Λ (n, 2) and B (n, 2): Ā = e^(ΔΛ), B̄ = (e^(ΔΛ) − 1)/Λ · B, which is ΔB at Λ = 0. */
export function zohComplex(lambda: Float64Array, B: Float64Array, delta: number): Discrete {
  return discretized("zohComplex", lambda, B, delta, (z) => [
    exp(z),
    Math.hypot(...z) < 1e-17 ? [1, 0] : div(expm1(z), z), // 1 + z/2 rounds to 1 there
  ]);
}

/** Bilinear: Ā = (1 + Δ/2 Λ)/(1 − Δ/2 Λ), B̄ = ΔB/(1 − Δ/2 Λ). */
export function bilinearComplex(lambda: Float64Array, B: Float64Array, delta: number): Discrete {
  return discretized("bilinearComplex", lambda, B, delta, ([a, b]) => {
    const below: Complex = [1 - a / 2, -b / 2];
    return [div([1 + a / 2, b / 2], below), div([1, 0], below)];
  });
}

/** Σₙ vₙ xₙˡ for l = 0 … length − 1: v times a Vandermonde matrix, (length, 2), by repeated products. */
export function vandermonde(v: Float64Array, x: Float64Array, length: number): Float64Array {
  const sums = new Float64Array(2 * length);
  for (let n = 0; n < v.length / 2; n++) {
    let term = at(v, n);
    for (let l = 0; l < length; l++) {
      sums.set(add(at(sums, l), term), 2 * l);
      term = mul(term, at(x, n));
    }
  }
  return sums;
}

/**
 * Ā and B̄ where `rule` gives, of z = ΔΛ, Ā and B̄/(ΔB).
 * @throws RangeError when the sizes disagree, n = 0, or Δ is not positive and finite.
 */
function discretized(
  who: string,
  lambda: Float64Array,
  B: Float64Array,
  delta: number,
  rule: (z: Complex) => readonly [Complex, Complex],
): Discrete {
  if (lambda.length === 0 || lambda.length % 2 === 1 || B.length !== lambda.length) {
    throw new RangeError(
      `${who}: lambda and B must be (n, 2) with n ≥ 1, got ${lambda.length} and ${B.length} numbers.`,
    );
  }
  if (!(delta > 0 && delta < Infinity)) {
    throw new RangeError(`${who}: delta must be a positive, finite step size, got ${delta}.`);
  }
  const Abar = new Float64Array(lambda.length);
  const Bbar = new Float64Array(lambda.length);
  for (let n = 0; n < lambda.length / 2; n++) {
    const [a, b] = rule(mul([delta, 0], at(lambda, n)));
    Abar.set(a, 2 * n);
    Bbar.set(mul(mul([delta, 0], b), at(B, n)), 2 * n);
  }
  return { Abar, Bbar };
}

/** N/2 entries of a spectrum. @throws RangeError unless N is even and at least 2. */
function spectrum(who: string, N: number, entry: (n: number) => Complex): Float64Array {
  if (!(Number.isInteger(N / 2) && N >= 2)) {
    throw new RangeError(`${who}: N must be an even number of at least 2, got ${N}.`);
  }
  return Float64Array.from(Array.from({ length: N / 2 }, (_, n) => entry(n)).flat());
}
