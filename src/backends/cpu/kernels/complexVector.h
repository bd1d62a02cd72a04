// Vectors of complex numbers.
#pragma once
#include "kernel.h"

typedef struct {
  vf re, im;
} cv;

INLINE cv plus(cv a, cv b) { return (cv){a.re + b.re, a.im + b.im}; }
INLINE cv minus(cv a, cv b) { return (cv){a.re - b.re, a.im - b.im}; }
INLINE cv scaled(cv a, vf by) { return (cv){a.re * by, a.im * by}; }
// a + sign i b
INLINE cv plusI(cv a, cv b, const int sign) {
  return sign > 0 ? (cv){a.re - b.im, a.im + b.re} : (cv){a.re + b.im, a.im - b.re};
}
// a b, or a b̄ where sign < 0.
INLINE cv times(cv a, cv b, const int sign) {
  return sign > 0 ? (cv){fma_(a.re, b.re, -(a.im * b.im)), fma_(a.re, b.im, a.im * b.re)}
                  : (cv){fma_(a.re, b.re, a.im * b.im), fma_(a.im, b.re, -(a.re * b.im))};
}
// a − b c, and 1 / a.
INLINE cv lessProduct(cv a, cv b, cv c) {
  return (cv){fma_(b.im, c.im, fma_(-b.re, c.re, a.re)), fma_(-b.im, c.re, fma_(-b.re, c.im, a.im))};
}
INLINE cv inverseOf(cv a) {
  const vf scale = 1.0f / fma_(a.re, a.re, a.im * a.im);
  return (cv){a.re * scale, -a.im * scale};
}
