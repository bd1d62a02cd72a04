// Elementary functions on vectors. NaN gives NaN, infinities what IEEE says.
#pragma once
#include "kernel.h"

#define LOG2E 1.44269504088896341f

// x[i] = 2^x[i] for i < count, a constant: the decays exp(Δ A) of a scan. 2^x = 2^k 2^f, k whole, |f| ≤ ½: a polynomial
// for 2^f (relative error below 1e-7, at 0 exactly 1), and a float with k in its exponent. Below 2^-126.5 it is 0, above
// 2^127.5 infinity. All x go through each operation together: V8 builds a constant anew wherever it is used.
INLINE void exp2Decays(vf* x, const int count) {
  vf shifted[16], p[16];
#define EACH UNROLL for (int i = 0; i < count; i++)
  EACH x[i] = atLeast(x[i], splat(-127.0f));
  EACH x[i] = atMost(x[i], splat(128.0f));
  EACH shifted[i] = x[i] + splat(12582912.0f);  // 1.5 · 2^23: adding it rounds x to a whole number in the low bits
  EACH x[i] = x[i] - (shifted[i] - splat(12582912.0f));
  EACH p[i] = fma_(splat(1.326472724e-3f), x[i], splat(9.671512681e-3f));
  EACH p[i] = fma_(p[i], x[i], splat(5.550733744e-2f));
  EACH p[i] = fma_(p[i], x[i], splat(2.402224208e-1f));
  EACH p[i] = fma_(p[i], x[i], splat(6.931469776e-1f));
  EACH p[i] = fma_(p[i], x[i], splat(1.0f));
  EACH x[i] = p[i] * (vf)(((vi)shifted[i] - 0x4b400000 + 127) << 23);
#undef EACH
}

INLINE vf exp2Decay(vf x) {
  exp2Decays(&x, 1);
  return x;
}

// exp(x + low), |low| tiny: x = n ln 2 + r with ln 2 in two parts, the first of 10 bits so that n times it is exact,
// and a polynomial for exp(r). Within 1.5 ulp; x alone times log2(e) would lose 60 ulp at the ends.
INLINE vf expSum(vf x, vf low) {
  x = atMost(atLeast(x, splat(-104.0f)), splat(89.0f));
  const vf magic = splat(12582912.0f);
  const vf shifted = fma_(x, splat(LOG2E), magic);
  const vf n = shifted - magic;
  vf r = fma_(n, splat(-0.693359375f), x);
  r = fma_(n, splat(2.12194440e-4f), r) + low;
  vf q = splat(1.38131444e-3f);
  q = fma_(q, r, splat(8.36941885e-3f));
  q = fma_(q, r, splat(4.16684568e-2f));
  q = fma_(q, r, splat(1.66665148e-1f));
  q = fma_(q, r, splat(4.99999931e-1f));
  const vf p = fma_(r * r, q, r) + 1.0f;
  const vi k = (vi)shifted - 0x4b400000;
  const vi half = k >> 1;
  return p * (vf)((k - half + 127) << 23) * (vf)((half + 127) << 23);
}

INLINE vf exp_(vf x) { return expSum(x, splat(0.0f)); }

// log(1 + f) for √½ − 1 ≤ f ≤ 1, as f − s (f − R(s²)) with s = f/(2 + f), where 2 artanh(s) = 2 s + s R(s²).
INLINE vf log1p_(vf f) {
  const vf s = f / (f + 2.0f);
  const vf z = s * s;
  vf r = splat(2.80244593e-1f);
  r = fma_(r, z, splat(2.79991410e-1f));
  r = fma_(r, z, splat(4.00216991e-1f));
  r = fma_(r, z, splat(6.66664131e-1f));
  return f - s * (f - z * r);
}

// The natural logarithm. x = 2^k m, √½ ≤ m < √2. Subnormal x are scaled up first.
INLINE vf log_(vf x) {
  const vi small = (x < 1.17549435e-38f) & (x > 0);
  const vf scaled = where(small, x * 8388608.0f, x);
  const vi bits = (vi)scaled - 0x3f3504f3;  // √½: what is left in the exponent is k
  const vf m = (vf)((bits & 0x7fffff) + 0x3f3504f3);
  const vf k = __builtin_convertvector((bits >> 23) - (small & 23), vf);
  const vf log = fma_(k, splat(0.693359375f), fma_(k, splat(-2.12194440e-4f), log1p_(m - 1.0f)));
  const vf edge = where(x == 0, splat(-__builtin_inff()), where(x < 0, splat(__builtin_nanf("")), x));
  return where((x > 0) & (x < __builtin_inff()), log, edge);
}

// σ(x) and σ′(x) = σ(x) σ(−x), from e = exp(−|x|) ≤ 1.
INLINE vf sigmoid_(vf x) {
  const vf e = exp_(-absolute(x));
  return where(x < 0.0f, e, splat(1.0f)) / (e + 1.0f);
}
INLINE vf sigmoidSlope(vf x) {
  const vf e = exp_(-absolute(x));
  return e / (e + 1.0f) / (e + 1.0f);
}

// log(1 + exp(x)) = max(x, 0) + log1p(exp(−|x|)).
INLINE vf softplus_(vf x) { return atLeast(x, splat(0.0f)) + log1p_(exp_(-absolute(x))); }

// A polynomial near 0, where 1 − 2/(exp(2 |x|) + 1) would cancel.
INLINE vf tanh_(vf x) {
  const vf size = absolute(x);
  const vf z = x * x;
  vf p = splat(-5.70498633e-3f);
  p = fma_(p, z, splat(2.06390866e-2f));
  p = fma_(p, z, splat(-5.37397148e-2f));
  p = fma_(p, z, splat(1.33314422e-1f));
  p = fma_(p, z, splat(-3.33332819e-1f));
  const vf far = 1.0f - 2.0f / (exp_(size + size) + 1.0f);
  const vf signedFar = (vf)((vi)far | ((vi)x & (int32_t)0x80000000));
  return where(size < 0.625f, fma_(x * z, p, x), signedFar);
}

// exp(−x²/2): the square is split into an exact head and a small rest, else its rounding would cost 80 ulp at 13.
// From 15 on it is 0.
INLINE vf gauss(vf x) {
  x = atMost(absolute(x), splat(15.0f));
  const vf head = (vf)((vi)x & (int32_t)0xfffff000);
  return expSum(head * head * -0.5f, (x - head) * (x + head) * -0.5f);
}

// Φ(x), the distribution function of the standard normal, given g = exp(−x²/2): Φ(−v) = g M(v) for v ≥ 0, where
// (v + 3) M(v) is a polynomial in w = (v − 3)/(v + 3).
INLINE vf normal(vf x, vf g) {
  const vf v = atMost(absolute(x), splat(15.0f));
  const vf r = 1.0f / (v + 3.0f);
  const vf w = fma_(v + v, r, splat(-1.0f));
  vf p = splat(5.44550786e-5f);
  p = fma_(p, w, splat(1.31253882e-4f));
  p = fma_(p, w, splat(-2.44754622e-4f));
  p = fma_(p, w, splat(-1.03252406e-3f));
  p = fma_(p, w, splat(1.02478403e-3f));
  p = fma_(p, w, splat(6.96930223e-3f));
  p = fma_(p, w, splat(-1.04625204e-2f));
  p = fma_(p, w, splat(-4.72626876e-2f));
  p = fma_(p, w, splat(2.30017700e-1f));
  p = fma_(p, w, splat(-5.09331991e-1f));
  p = fma_(p, w, splat(7.29083690e-1f));
  const vf tail = g * (p * r);
  return where(x < 0.0f, tail, 1.0f - tail);
}
