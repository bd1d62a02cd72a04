/** A source of numbers that look random and are a pure function of the words it was made from. */
export interface Random {
  /** Uniform in [0, 1), a multiple of 2⁻⁵³. */
  uniform(): number;
  /** Uniform over 0, 1, …, n − 1, without bias. n is an integer from 1 to 2³². */
  integer(n: number): number;
  /** Standard normal: mean 0, variance 1. */
  normal(): number;
}

/**
 * The stream of random numbers named by a seed and up to three words: Philox4x32-10 run as a counter.
 *
 *   seed     an integer from 0 to 2⁵³ − 1: the key
 *   stream   up to three integers from 0 to 2³² − 1: the counter, whose remaining word counts blocks
 *
 * Philox permutes the counters under each key, so two streams of one seed and as many words share no counter:
 * they are independent by construction, and reaching one costs nothing. The number of words is part of the key,
 * so (seed) and (seed, 0) differ. A stream repeats after 2³⁴ words; a uniform takes two, an integer one a try.
 *
 * Everything is made from operations that IEEE 754 and ECMAScript define to the last bit (hence our own logarithm),
 * so every machine gives the same numbers.
 *
 * @throws RangeError for a seed or a word outside its range, or for a fourth word.
 */
export function random(seed: number, ...stream: number[]): Random {
  checkWords(seed, stream);
  const [s0 = 0, s1 = 0, s2 = 0] = stream;
  const keyHigh = Math.floor(seed / 2 ** 32) + stream.length * 2 ** 30; // the seed fills 21 bits of it
  const words = new Uint32Array(4);
  let block = 0;
  let used = 4;
  let spare: number | undefined;

  const next = (): number => {
    if (used === 4) {
      philox(words, block++, s0, s1, s2, seed, keyHigh);
      used = 0;
    }
    return words[used++];
  };
  const uniform = (): number => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;

  return {
    uniform,

    // Draws as many bits as n − 1 has and tries again past n: the remainder of a division would favour small numbers.
    integer(n) {
      if (!(Number.isInteger(n) && n >= 1 && n <= 2 ** 32)) {
        throw new RangeError(`integer: n must be an integer from 1 to 2^32, got ${n}.`);
      }
      const mask = n === 1 ? 0 : 0xffffffff >>> Math.clz32(n - 1);
      let draw = (next() & mask) >>> 0;
      while (draw >= n) draw = (next() & mask) >>> 0;
      return draw;
    },

    // The polar method (Marsaglia & Bray 1964): a point of the unit disc gives two independent normals.
    normal() {
      if (spare !== undefined) {
        const z = spare;
        spare = undefined;
        return z;
      }
      let x: number, y: number, s: number;
      do {
        x = 2 * uniform() - 1;
        y = 2 * uniform() - 1;
        s = x * x + y * y;
      } while (s >= 1 || s === 0);
      const scale = Math.sqrt((-2 * ln(s)) / s);
      spare = y * scale;
      return x * scale;
    },
  };
}

/**
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the block of four 32-bit
 * words for the counter (c0, c1, c2, c3) and the key (k0, k1), each taken modulo 2³².
 */
export function philox(
  block: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  block[0] = c0;
  block[1] = c1;
  block[2] = c2;
  block[3] = c3;
}

/** The upper 32 bits of the 64-bit product of two 32-bit words. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const carry = Math.imul(aLow, bLow) >>> 16;
  const left = (Math.imul(aHigh, bLow) + carry) >>> 0;
  const right = (Math.imul(aLow, bHigh) + (left & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (left >>> 16) + (right >>> 16)) | 0;
}

/**
 * The natural logarithm of 0 < x ≤ 1. Math.log may differ in its last bit between engines, and this may not.
 *
 *   ln(m 2ᵉ) = e ln 2 + 2 (t + t³/3 + t⁵/5 + …)      t = (m − 1) / (m + 1),   0.7 ≤ m < 1.4,   |t| < 0.18
 */
export function ln(x: number): number {
  let m = x;
  let e = 0;
  for (; m < 0.7; m *= 2) e--;
  const t = (m - 1) / (m + 1);
  let sum = 0;
  for (let k = 21; k >= 1; k -= 2) sum = sum * t * t + 1 / k; // what is left out is below 2⁻⁵⁷ of the sum
  return e * Math.LN2 + 2 * t * sum;
}

function checkWords(seed: number, stream: readonly number[]): void {
  if (!(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new RangeError(`random: the seed must be an integer from 0 to 2^53 - 1, got ${seed}.`);
  }
  if (stream.length > 3) {
    throw new RangeError(`random: a stream must be named by at most 3 words, got ${stream.length}.`);
  }
  for (const word of stream) {
    if (!(Number.isInteger(word) && word >= 0 && word < 2 ** 32)) {
      throw new RangeError(
        `random: each word of a stream must be an integer from 0 to 2^32 - 1, got ${word}.`,
      );
    }
  }
}
