/**
 * The complementary error function, erfc(x) = 2/√π ∫ₓ^∞ exp(−t²) dt, for every x.
 *
 * Near 0 it is 1 − erf(x) with the series of Abramowitz & Stegun 7.1.6, whose terms all have one sign; from |x| = 2 on
 * the continued fraction 7.1.14, which keeps the relative error of the tail near 1e-14.
 */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  return x < 2 ? 1 - erfSeries(x) : erfcFraction(x);
}

/** erf(x) = 2/√π exp(−x²) Σₙ 2ⁿ x²ⁿ⁺¹ / (1 · 3 ⋯ (2n + 1)). */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** erfc(x) = exp(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + 2/(x + …))))), evaluated from its 100th level. */
function erfcFraction(x: number): number {
  let tail = x;
  for (let n = 100; n > 0; n--) tail = x + n / 2 / tail;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * tail);
}
