// Elementary functions on vectors. NaN gives NaN, infinities what IEEE says.
#pragma once
#include "kernel.h"

#define LOG2E 1.44269504088896341f

// 2^x = 2^k 2^f, k whole, |f| ≤ ½: a polynomial for 2^f, and a float with k in its exponent, in two factors so that
// neither overflows before the product does.
INLINE vf exp2_(vf x) {
  x = atMost(atLeast(x, splat(-160.0f)), splat(129.0f));
  const vf magic = splat(12582912.0f);  // 1.5 · 2^23: adding it rounds x to a whole number in the low bits
  const vf shifted = x + magic;
  const vf f = x - (shifted - magic);
  vf p = splat(1.54035304e-4f);
  p = fma_(p, f, splat(1.33335581e-3f));
  p = fma_(p, f, splat(9.61812911e-3f));
  p = fma_(p, f, splat(5.55041087e-2f));
  p = fma_(p, f, splat(2.40226507e-1f));
  p = fma_(p, f, splat(6.93147181e-1f));
  p = fma_(p, f, splat(1.0f));
  const vi k = (vi)shifted - 0x4b400000;
  const vi half = k >> 1;
  return p * (vf)((k - half + 127) << 23) * (vf)((half + 127) << 23);
}

// 2^x for x ≤ 0, one multiplication less, results below 2^-126 flushed to 0: the decay exp(Δ A) of a scan.
INLINE vf exp2Decay(vf x) {
  x = atLeast(x, splat(-127.0f));
  const vf magic = splat(12582912.0f);
  const vf shifted = x + magic;
  const vf f = x - (shifted - magic);
  vf p = splat(1.54035304e-4f);
  p = fma_(p, f, splat(1.33335581e-3f));
  p = fma_(p, f, splat(9.61812911e-3f));
  p = fma_(p, f, splat(5.55041087e-2f));
  p = fma_(p, f, splat(2.40226507e-1f));
  p = fma_(p, f, splat(6.93147181e-1f));
  p = fma_(p, f, splat(1.0f));
  return p * (vf)(((vi)shifted - 0x4b400000 + 127) << 23);
}

// The natural logarithm. x = 2^k m, √½ ≤ m < √2, and ln m = 2 (s + s³/3 + s⁵/5 + …) with s = (m − 1)/(m + 1).
INLINE vf log_(vf x) {
  const vf tiny = splat(1.17549435e-38f);
  const vi small = (x < tiny) & (x > 0);
  const vf scaled = where(small, x * splat(8388608.0f), x);
  const vi bits = (vi)scaled - 0x3f3504f3;  // √½: what is left in the exponent is k
  const vi k = bits >> 23;
  const vf m = (vf)((bits & 0x7fffff) + 0x3f3504f3);
  const vf s = (m - 1) / (m + 1), q = s * s;
  vf p = splat(0.2222222222f);
  p = fma_(p, q, splat(0.2857142857f));
  p = fma_(p, q, splat(0.4f));
  p = fma_(p, q, splat(0.6666666667f));
  const vf e = __builtin_convertvector(k, vf) - where(small, splat(23), splat(0));
  const vf log = fma_(e, splat(0.693359375f), fma_(e, splat(-2.12194440e-4f), fma_(p * q, s, s + s)));
  const vf edge = where(x == 0, splat(-__builtin_inff()), where(x < 0, splat(__builtin_nanf("")), x));
  return where((x > 0) & (x < __builtin_inff()), log, edge);
}
