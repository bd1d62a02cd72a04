import { irfft } from "../math/fft.ts";
import type { Random } from "../math/random.ts";

export interface WhiteSignalConfig {
  /** Seconds from one sample to the next; default 0.001. */
  readonly dt?: number;
  /** The highest frequency in the signal, in hertz; default 1. */
  readonly frequency?: number;
}

/** A frequency that was meant to be a limit is not beyond it because 1/(length dt) was rounded. */
const rounding = 1 + 1e-12;

/**
 * Band-limited white noise, starting from 0: what the HiPPO memories are tried on (`whitesignal` of state-spaces/s4,
 * after the nengo library's WhiteSignal). With n = ⌈length/2⌉ and f_k = k / (2n dt),
 *
 *   x = √(2n) irfft(X),   X_k = (a_k + i b_k) rms/√2 / √(1 − c/n) for 0 < f_k ≤ frequency, else 0
 *
 * with a, b standard normal, the last b 0, and c the number of k with f_k > frequency; then x − x_0. So its root mean
 * square before the shift is about `rms` = 0.5, however narrow the band.
 * @returns (length)
 * @throws RangeError when no frequency fits: below 1/(length dt), or above the Nyquist frequency 1/(2 dt).
 */
export function whiteSignal(
  random: Random,
  length: number,
  { dt = 0.001, frequency = 1 }: WhiteSignalConfig = {},
): Float64Array {
  checkBand("white-signal", length, { dt, frequency });
  const rms = 0.5;
  const n = Math.ceil(length / 2);
  const within = Math.min(n, Math.floor(frequency * rounding * 2 * n * dt)); // the last k that is not cut off
  const cut = n - within;
  const correction = cut < n ? Math.sqrt(1 - cut / n) : 1;
  const sigma = (rms * Math.SQRT1_2 * Math.sqrt(2 * n)) / correction;
  const X = new Float64Array(2 * (n + 1));
  for (let k = 1; k <= within; k++) {
    X[2 * k] = sigma * random.normal();
    X[2 * k + 1] = k < n ? sigma * random.normal() : 0;
  }
  const x = irfft(X, 2 * n);
  const first = x[0];
  return x.subarray(0, length).map((value) => value - first);
}

/** @throws RangeError in the name of `who` when a signal of this length has no such frequency. */
export function checkBand(
  who: string,
  length: number,
  { dt = 0.001, frequency = 1 }: WhiteSignalConfig,
): void {
  const [lowest, highest] = [1 / (length * dt), 0.5 / dt];
  if (frequency * rounding >= lowest && frequency <= highest * rounding) return;
  throw new RangeError(
    `${who}: the frequency must be from 1/(length dt) = ${lowest} to 1/(2 dt) = ${highest}, got ${frequency}. ` +
      "Change the frequency, dt or the length.",
  );
}
