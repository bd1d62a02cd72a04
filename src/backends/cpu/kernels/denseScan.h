// Products with a dense matrix for the kernels of LSSL.
#pragma once
#include "rows.h"

// out[j] (+)= Σₖ weights[k stride] X[k width + j] for j < width, k < count: two sums side by side, even k and odd k.
INLINE void combineSome(const float* weights, long stride, const float* X, int count, int width, float* out, int adds,
                        const int vectors, int part) {
  vf sum[4][2] = {0};
  int k = 0;
  for (; k + 2 <= count; k += 2) {
    const float* row = X + (long)k * width;
    UNROLL for (int s = 0; s < 2; s++) {
      const vf w = splat(weights[(k + s) * stride]);
      UNROLL for (int v = 0; v < vectors; v++) {
        sum[v][s] = fma_(w, loadUpTo(row + (long)s * width + v * LANES, part), sum[v][s]);
      }
    }
  }
  if (k < count) {
    const vf w = splat(weights[k * stride]);
    UNROLL for (int v = 0; v < vectors; v++) {
      sum[v][0] = fma_(w, loadUpTo(X + (long)k * width + v * LANES, part), sum[v][0]);
    }
  }
  UNROLL for (int v = 0; v < vectors; v++) {
    const vf both = sum[v][0] + sum[v][1];
    storeUpTo(out + v * LANES, adds ? loadUpTo(out + v * LANES, part) + both : both, part);
  }
}

INLINE void combineRows(const float* weights, long stride, const float* X, int count, int width, float* out, int adds) {
  int j = 0;
  for (; j + 4 * LANES <= width; j += 4 * LANES) {
    combineSome(weights, stride, X + j, count, width, out + j, adds, 4, LANES);
  }
  for (; j < width; j += LANES) combineSome(weights, stride, X + j, count, width, out + j, adds, 1, width - j);
}

// out[j] += weight X[j].
INLINE void addScaled(float weight, const float* X, int width, float* out) {
  for (int j = 0; j < width; j += LANES) {
    storeUpTo(out + j, fma_(splat(weight), loadUpTo(X + j, width - j), loadUpTo(out + j, width - j)), width - j);
  }
}

INLINE void transposeMatrix(const float* X, int n, float* out) {
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) out[(long)j * n + i] = X[(long)i * n + j];
  }
}
