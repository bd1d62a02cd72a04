/**
 * HiPPO: the past of a signal as N coefficients that obey a linear equation, x′ = A x + B u (Gu, Dao, Ermon, Rudra & Ré
 * 2020, arXiv 2008.07669, and the variants of state-spaces/s4). Each measure says how much each age of the past counts;
 * its matrices keep x such that u(t − age) ≈ Σₙ xₙ basisₙ(age) is the best approximation under it.
 *
 * A (N, N) carries its minus sign. `window` θ is how far back a sliding window reaches; θ = 2 is what S4 begins with.
 * Every function throws a RangeError unless N ≥ 1, is even for Fourier, and θ > 0.
 */
export type System = {
  /** (N, N), row-major. */
  A: Float64Array;
  /** (N). */
  B: Float64Array;
};

/**
 * Scaled Legendre: all of the past, uniformly, when A and B are divided by t (theorem 2); used as they are, S4's way, the
 * past counts e^−age.
 *   A[n,k] = −√((2n+1)(2k+1)) for n > k, −(n+1) for n = k, 0 for n < k        B[n] = √(2n+1)
 */
export function legS(N: number): System {
  const B = roots("legS", N);
  return { A: square(N, (n, k) => (n > k ? -B[n] * B[k] : n === k ? -(n + 1) : 0)), B };
}

/** The normal part of LegS: A + ½ B Bᵀ and B/2, which S4D-LegS begins with (S4D, arXiv 2206.11893, equation 8). */
export function legSNormal(N: number): System {
  const { A, B } = legS(N);
  return { A: square(N, (n, k) => A[n * N + k] + (B[n] * B[k]) / 2), B: B.map((b) => b / 2) };
}

/**
 * Translated Legendre: the last θ, uniformly (theorem 1, λₙ = √(2n+1)).
 *   A[n,k] = −1/θ √((2n+1)(2k+1)) · (1 for k ≤ n, (−1)^(n−k) for k > n)        B[n] = 1/θ √(2n+1)
 */
export function legT(N: number, window = 1): System {
  const root = roots("legT", N);
  checkWindow("legT", window);
  return {
    A: square(N, (n, k) => ((k <= n ? -1 : -sign(n - k)) * root[n] * root[k]) / window),
    B: root.map((r) => r / window),
  };
}

/**
 * The Legendre memory unit (Voelker, Kajić & Eliasmith 2019), the same memory in another scale: with T = diag(√(2n+1) (−1)ⁿ),
 * A = T A_legT T⁻¹ and B = T B_legT. A[n,k] = (2n+1)/θ · (−1 for n < k, (−1)^(n−k+1) for n ≥ k), B[n] = (2n+1)(−1)ⁿ/θ.
 */
export function lmu(N: number, window = 1): System {
  checkOrder("lmu", N);
  checkWindow("lmu", window);
  return {
    A: square(N, (n, k) => ((2 * n + 1) * (n < k ? -1 : -sign(n - k))) / window),
    B: Float64Array.from({ length: N }, (_, n) => ((2 * n + 1) * sign(n)) / window),
  };
}

/** Translated Laguerre: the past counts e^−age. A[n,k] = −1 for n > k, −½ for n = k, 0 for n < k; B[n] = 1. */
export function lagT(N: number): System {
  return generalizedLagT(N, 0, 0);
}

/**
 * Generalized translated Laguerre, weight age^α e^−age and tilt β (appendix D.2); α = β = 0 is `lagT`, save that a tilt of 0
 * has no scale of its own: β^((1−α)/2) counts as 1. With Lₙ = √(Γ(n+α+1)/n!),
 *   A = L⁻¹ A₀ L, A₀[n,k] = −1 for n > k, −(1+β)/2 for n = k        B[n] = binom(n+α, n)/Lₙ · β^((1−α)/2)/√Γ(1−α)
 */
export function generalizedLagT(N: number, alpha: number, beta: number): System {
  checkOrder("generalizedLagT", N);
  if (!(alpha > -1 && alpha < 1 && beta >= 0 && beta < Infinity)) {
    throw new RangeError(
      `generalizedLagT: alpha must be between −1 and 1 and beta at least 0, got ${alpha} and ${beta}.`,
    );
  }
  const L = new Float64Array(N);
  const B = new Float64Array(N);
  const scale = beta === 0 ? 1 : beta ** ((1 - alpha) / 2) / Math.sqrt(gamma(1 - alpha));
  let ratio = gamma(1 + alpha); // Γ(n+α+1)/n!
  let binomial = 1; //             binom(n+α, n)
  for (let n = 0; n < N; n++) {
    L[n] = Math.sqrt(ratio);
    B[n] = (binomial / L[n]) * scale;
    ratio *= (n + 1 + alpha) / (n + 1);
    binomial *= (n + 1 + alpha) / (n + 1);
  }
  const A = square(N, (n, k) => (n > k ? -L[k] / L[n] : n === k ? -(1 + beta) / 2 : 0));
  return { A, B };
}

/**
 * Truncated Fourier: the last θ, uniformly, in 1, √2 cos and √2 sin of 2πk age/θ (S4, appendix; "FouT" of arXiv 2206.12037).
 * A = S − θ/2 B Bᵀ with S the rotations by 2πk/θ and B = 2/θ (1, 0, √2, 0, √2, 0, …).
 */
export function fourier(N: number, window = 1): System {
  const { A, B } = rotations("fourier", N, window);
  return { A: square(N, (n, k) => A[n * N + k] - (window / 2) * B[n] * B[k]), B };
}

/** `fourier` with half the input and half the forgetting: A = S − θ/4 B Bᵀ (B that of `fourier`), then B/2. */
export function fourierDecay(N: number, window = 1): System {
  const { A, B } = rotations("fourierDecay", N, window);
  return { A: square(N, (n, k) => A[n * N + k] - (window / 4) * B[n] * B[k]), B: B.map((b) => b / 2) };
}

/** Rotations that decay, already normal: A = S − ½ I over a window of 1 with B = (1, 0, √2, 0, √2, 0, …): S4D-Lin. */
export function fourierNormal(N: number): System {
  const { A, B } = rotations("fourierNormal", N, 1);
  return { A: A.map((a, i) => (i % (N + 1) === 0 ? a - 1 / 2 : a)), B: B.map((b) => b / 2) };
}

/** S and B of the Fourier variants: 2×2 blocks [0 −ω; ω 0] with ω = 2πk/θ, and 2/θ (1, 0, √2, 0, …). */
function rotations(who: string, N: number, window: number): System {
  checkOrder(who, N);
  checkWindow(who, window);
  if (N % 2 === 1) throw new RangeError(`${who}: N must be even, one cosine and one sine each, got ${N}.`);
  const omega = (n: number) => (2 * Math.PI * Math.floor(n / 2)) / window;
  return {
    A: square(N, (n, k) =>
      n % 2 === 0 && k === n + 1 ? -omega(n) : n % 2 === 1 && k === n - 1 ? omega(n) : 0,
    ),
    B: Float64Array.from({ length: N }, (_, n) =>
      n % 2 === 1 ? 0 : ((n === 0 ? 1 : Math.SQRT2) * 2) / window,
    ),
  };
}

/** √(2n+1): the norms of the Legendre polynomials. */
function roots(who: string, N: number): Float64Array {
  checkOrder(who, N);
  return Float64Array.from({ length: N }, (_, n) => Math.sqrt(2 * n + 1));
}

function square(N: number, entry: (n: number, k: number) => number): Float64Array {
  return Float64Array.from({ length: N * N }, (_, i) => entry(Math.floor(i / N), i % N));
}

/** (−1)ⁿ, for n of either sign. */
function sign(n: number): number {
  return n % 2 === 0 ? 1 : -1;
}

/** Γ(x) for x > 0: Stirling's series at x + 20, carried back by Γ(x) = Γ(x+1)/x. */
function gamma(x: number): number {
  let product = 1;
  let y = x;
  for (; y < 20; y++) product *= y;
  const series = 1 / (12 * y) - 1 / (360 * y ** 3) + 1 / (1260 * y ** 5) - 1 / (1680 * y ** 7);
  return Math.exp((y - 0.5) * Math.log(y) - y + 0.5 * Math.log(2 * Math.PI) + series) / product;
}

function checkOrder(who: string, N: number): void {
  if (!(Number.isInteger(N) && N >= 1)) {
    throw new RangeError(`${who}: N must be a whole number of at least 1, got ${N}.`);
  }
}

function checkWindow(who: string, window: number): void {
  if (!(window > 0 && window < Infinity)) {
    throw new RangeError(`${who}: window must be a positive, finite length of time, got ${window}.`);
  }
}
