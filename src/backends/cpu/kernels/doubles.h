// Complex numbers in double precision, half as many in a vector as floats: for the few numbers whose rounding would grow
// over thousands of steps, above all the phase of Ā. Tensors hold them as interleaved pairs of floats.
#pragma once
#include "rows.h"

enum { PAIRS = LANES / 2 };  // in a vector
typedef double vd __attribute__((vector_size(VB)));
typedef int64_t vl __attribute__((vector_size(VB)));
typedef float vh __attribute__((vector_size(VB / 2)));
typedef struct {
  vd re, im;
} vc;

#if VB == 64
#define EVEN(v) __builtin_shufflevector(v, v, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(v) __builtin_shufflevector(v, v, 1, 3, 5, 7, 9, 11, 13, 15)
#define ZIP(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15)
INLINE vd atLeastD(vd x, vd low) { return (vd)_mm512_max_pd((__m512d)low, (__m512d)x); }
INLINE vd atMostD(vd x, vd high) { return (vd)_mm512_min_pd((__m512d)high, (__m512d)x); }
#elif VB == 32
#define EVEN(v) __builtin_shufflevector(v, v, 0, 2, 4, 6)
#define ODD(v) __builtin_shufflevector(v, v, 1, 3, 5, 7)
#define ZIP(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5, 2, 6, 3, 7)
INLINE vd atLeastD(vd x, vd low) { return (vd)_mm256_max_pd((__m256d)low, (__m256d)x); }
INLINE vd atMostD(vd x, vd high) { return (vd)_mm256_min_pd((__m256d)high, (__m256d)x); }
#else
#define EVEN(v) __builtin_shufflevector(v, v, 0, 2)
#define ODD(v) __builtin_shufflevector(v, v, 1, 3)
#define ZIP(a, b) __builtin_shufflevector(a, b, 0, 2, 1, 3)
INLINE vd atLeastD(vd x, vd low) { return (vd)wasm_f64x2_pmax((v128_t)x, (v128_t)low); }
INLINE vd atMostD(vd x, vd high) { return (vd)wasm_f64x2_pmin((v128_t)x, (v128_t)high); }
#endif

INLINE vd splatD(double x) { return x - (vd){0}; }
INLINE vd whereD(vl mask, vd a, vd b) { return (vd)(((vl)a & mask) | ((vl)b & ~mask)); }
INLINE vc whereC(vl mask, vc a, vc b) { return (vc){whereD(mask, a.re, b.re), whereD(mask, a.im, b.im)}; }

// The first `pairs` complex numbers at p, the others 0; and back.
INLINE vc loadC(const float* p, int pairs) {
  const vf v = loadUpTo(p, 2 * pairs);
  return (vc){__builtin_convertvector(EVEN(v), vd), __builtin_convertvector(ODD(v), vd)};
}
INLINE vf zipC(vc z) {
  const vh re = __builtin_convertvector(z.re, vh), im = __builtin_convertvector(z.im, vh);
  return ZIP(re, im);
}
INLINE void storeC(float* p, vc z, int pairs) { storeUpTo(p, zipC(z), 2 * pairs); }

INLINE vc realC(double x) { return (vc){splatD(x), splatD(0)}; }
INLINE vc conjugateC(vc z) { return (vc){z.re, -z.im}; }
INLINE vc plusC(vc a, vc b) { return (vc){a.re + b.re, a.im + b.im}; }
INLINE vc minusC(vc a, vc b) { return (vc){a.re - b.re, a.im - b.im}; }
INLINE vc scaleC(vd s, vc z) { return (vc){s * z.re, s * z.im}; }
INLINE vc timesC(vc a, vc b) { return (vc){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
INLINE vd sizeC(vc z) { return z.re * z.re + z.im * z.im; }
INLINE vc overC(vc a, vc b) { return scaleC(1.0 / sizeC(b), timesC(a, conjugateC(b))); }

// exp(x), its relative error below 1e-14, 0 and infinity replaced by exp(∓700): what is made of it is float.
INLINE vd expD(vd x) {
  x = atMostD(atLeastD(x, splatD(-700.0)), splatD(700.0));
  const vd magic = splatD(6755399441055744.0);  // 1.5 · 2^52: adding it rounds to a whole number in the low bits
  const vd shifted = x * 1.44269504088896339 + magic;
  const vd n = shifted - magic;
  const vd r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;  // ln 2 in two parts
  vd p = splatD(1.0 / 39916800);
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * (vd)(((vl)shifted - 0x4338000000000000 + 1023) << 52);
}

// cos x + i sin x for |x| < 10^6, within 1e-13: x less the nearest multiple of π/2, which stands in the low bits.
INLINE vc turnD(vd x) {
  const vd magic = splatD(6755399441055744.0);
  const vd shifted = x * 0.636619772367581343 + magic;
  const vd n = shifted - magic;
  const vd r = (x - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11;
  const vd z = r * r;
  vd sin = splatD(1.0 / 6227020800);
  sin = sin * z - 1.0 / 39916800;
  sin = sin * z + 1.0 / 362880;
  sin = sin * z - 1.0 / 5040;
  sin = sin * z + 1.0 / 120;
  sin = sin * z - 1.0 / 6;
  sin = sin * z * r + r;
  vd cos = splatD(-1.0 / 87178291200);
  cos = cos * z + 1.0 / 479001600;
  cos = cos * z - 1.0 / 3628800;
  cos = cos * z + 1.0 / 40320;
  cos = cos * z - 1.0 / 720;
  cos = cos * z + 1.0 / 24;
  cos = cos * z - 0.5;
  cos = cos * z + 1.0;
  const vl quarter = (vl)shifted, swap = -(quarter & 1);
  const vl cosSign = ((quarter + 1) & 2) << 62, sinSign = (quarter & 2) << 62;
  return (vc){(vd)((vl)whereD(swap, sin, cos) ^ cosSign), (vd)((vl)whereD(swap, cos, sin) ^ sinSign)};
}

INLINE vc expC(vc z) { return scaleC(expD(z.re), turnD(z.im)); }
