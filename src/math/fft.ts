/**
 * The discrete Fourier transform, of any length n in O(n log n).
 *
 *   X_k = Σ_t x_t ω^(kt)        x_t = 1/n Σ_k X_k ω^(−kt)        ω = e^(−2πi/n), t and k from 0 to n − 1
 *
 * Complex sequences are interleaved pairs (n, 2): re, im, re, im, …; real ones are (n). The spectrum of a real sequence
 * has X_(n−k) = X̄_k, so `rfft` gives k = 0 … ⌊n/2⌋ alone and `irfft` takes those. Powers of two are transformed by
 * Stockham's algorithm, other lengths by Bluestein's. Arguments are left alone.
 */

/** X (n, 2) of a complex x (n, 2). @throws RangeError unless x holds n ≥ 1 pairs. */
export function fft(x: Float64Array): Float64Array {
  const n = countOf("fft", x);
  return Number.isInteger(Math.log2(n)) ? stockham(x, n) : bluestein(x, n);
}

/** x (n, 2) of a complex X (n, 2). @throws RangeError unless X holds n ≥ 1 pairs. */
export function ifft(X: Float64Array): Float64Array {
  const n = countOf("ifft", X);
  return conjugate(fft(conjugate(X))).map((v) => v / n);
}

/** X_0 … X_⌊n/2⌋ (⌊n/2⌋ + 1, 2) of a real x (n). @throws RangeError when x is empty. */
export function rfft(x: Float64Array): Float64Array {
  const n = x.length;
  const pairs = new Float64Array(2 * n);
  for (let t = 0; t < n; t++) pairs[2 * t] = x[t];
  return fft(pairs).slice(0, 2 * Math.floor(n / 2) + 2);
}

/**
 * The real x (n) whose spectrum begins with X (⌊n/2⌋ + 1, 2). The imaginary parts of X_0 and, for even n, of X_(n/2)
 * are those of no real sequence and count as 0. @throws RangeError unless n ≥ 1 and X has that size.
 */
export function irfft(X: Float64Array, n: number): Float64Array {
  const half = Math.floor(n / 2);
  if (!Number.isInteger(n) || n < 1 || X.length !== 2 * half + 2) {
    throw new RangeError(`irfft: X must be (⌊n/2⌋ + 1, 2) with n ≥ 1, got ${X.length} numbers for n = ${n}.`);
  }
  const whole = new Float64Array(2 * n);
  whole.set(X);
  whole[1] = 0;
  if (n % 2 === 0) whole[n + 1] = 0;
  for (let k = half + 1; k < n; k++) {
    whole[2 * k] = X[2 * (n - k)];
    whole[2 * k + 1] = -X[2 * (n - k) + 1];
  }
  return ifft(whole).filter((_, i) => i % 2 === 0);
}

/** X (n, 2) of a complex x (n, 2) as the sum is written, in O(n²): what `fft` is tested with. */
export function naiveDft(x: Float64Array): Float64Array {
  const n = countOf("naiveDft", x);
  const X = new Float64Array(2 * n);
  for (let k = 0; k < n; k++) {
    for (let t = 0; t < n; t++) {
      const [re, im] = rootOfUnity(k * t, n);
      X[2 * k] += x[2 * t] * re - x[2 * t + 1] * im;
      X[2 * k + 1] += x[2 * t] * im + x[2 * t + 1] * re;
    }
  }
  return X;
}

/** ω^k = e^(−2πik/n), k ≥ 0, from an angle of at most π/4: cos and sin have all their digits there, and ω^(n/4) is −i. */
export function rootOfUnity(k: number, n: number): [re: number, im: number] {
  const quarters = Math.round((4 * (k % n)) / n);
  const angle = (Math.PI / 2) * ((4 * (k % n) - quarters * n) / n);
  const c = Math.cos(angle);
  const s = Math.sin(angle);
  const [re, im] = quarters % 2 === 0 ? [c, -s] : [-s, -c];
  return quarters % 4 < 2 ? [re, im] : [-re, -im];
}

/**
 * Stockham's algorithm (Van Loan 1992, section 1.7), n a power of two. Each pass halves the transforms and doubles their
 * number, `stride`, and leaves results in order, so that no bit reversal is needed.
 */
function stockham(x: Float64Array, n: number): Float64Array {
  let from = x.slice();
  let to = new Float64Array(2 * n);
  for (let stride = 1; stride < n; stride *= 2) {
    const half = n / stride / 2;
    for (let p = 0; p < half; p++) {
      const [re, im] = rootOfUnity(p * stride, n);
      for (let q = 0; q < stride; q++) {
        const a = 2 * (q + stride * p);
        const b = a + n;
        const even = 2 * (q + stride * 2 * p);
        const odd = even + 2 * stride;
        const dr = from[a] - from[b];
        const di = from[a + 1] - from[b + 1];
        to[even] = from[a] + from[b];
        to[even + 1] = from[a + 1] + from[b + 1];
        to[odd] = dr * re - di * im;
        to[odd + 1] = dr * im + di * re;
      }
    }
    [from, to] = [to, from];
  }
  return from;
}

/**
 * Bluestein's algorithm (1970), any n: with kt = (k² + t² − (k − t)²) / 2 the transform is a convolution,
 *   X_k = w_k Σ_t (x_t w_t) w̄_(k−t)        w_t = ω^(t²/2)
 * which is circular in a power of two ≥ 2n − 1.
 */
function bluestein(x: Float64Array, n: number): Float64Array {
  const size = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const w = new Float64Array(2 * n);
  const signal = new Float64Array(2 * size);
  const chirp = new Float64Array(2 * size);
  for (let t = 0; t < n; t++) {
    [w[2 * t], w[2 * t + 1]] = rootOfUnity((t * t) % (2 * n), 2 * n);
    setProduct(signal, t, x, t, w, t);
    for (const at of [t, (size - t) % size]) {
      chirp[2 * at] = w[2 * t];
      chirp[2 * at + 1] = -w[2 * t + 1];
    }
  }
  const [S, H] = [stockham(signal, size), stockham(chirp, size)];
  for (let k = 0; k < size; k++) setProduct(S, k, S, k, H, k);
  const sums = ifft(S);
  const X = new Float64Array(2 * n);
  for (let k = 0; k < n; k++) setProduct(X, k, sums, k, w, k);
  return X;
}

/** z_i = a_j b_k, of interleaved complex numbers. */
function setProduct(
  z: Float64Array,
  i: number,
  a: Float64Array,
  j: number,
  b: Float64Array,
  k: number,
): void {
  const re = a[2 * j] * b[2 * k] - a[2 * j + 1] * b[2 * k + 1];
  z[2 * i + 1] = a[2 * j] * b[2 * k + 1] + a[2 * j + 1] * b[2 * k];
  z[2 * i] = re;
}

function conjugate(x: Float64Array): Float64Array {
  return x.map((v, i) => (i % 2 === 0 ? v : -v));
}

/** n, the number of pairs. */
function countOf(who: string, x: Float64Array): number {
  if (x.length < 2 || x.length % 2 !== 0) {
    throw new RangeError(`${who}: a complex sequence must be (n, 2) with n ≥ 1, got ${x.length} numbers.`);
  }
  return x.length / 2;
}
