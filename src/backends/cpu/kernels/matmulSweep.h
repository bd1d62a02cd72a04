// A few rows times a B that is not transposed: the time is that of reading B, which is read once, as it lies, row
// after row.
#pragma once
#include "matmul.h"

enum { sweepInner = 32 };

// V vectors of: y[r] += Σ x[r][u] b[u], for R rows and U steps of inner.
INLINE void sweepVectors(const int R, const int U, const int V, const vf x[4][8], const float* b, int64_t pitchB,
                         float* y, int64_t pitchY) {
  vf sum[4][2];
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < V; v++) sum[r][v] = load(y + r * pitchY + v * LANES);
  UNROLL for (int u = 0; u < U; u++) UNROLL for (int v = 0; v < V; v++) {
    const vf row = load(b + u * pitchB + v * LANES);
    UNROLL for (int r = 0; r < R; r++) sum[r][v] = fma_(x[r][u], row, sum[r][v]);
  }
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < V; v++) store(y + r * pitchY + v * LANES, sum[r][v]);
}

// All n columns. Several steps at a time keep as many streams of memory going: on Zen 3 eight are 1.6 times as fast as
// one.
INLINE void sweep(const int R, const int U, const float* A, int64_t pitch, int64_t step, const float* b, int64_t pitchB,
                  float* y, int64_t pitchY, int n) {
  vf x[4][8];
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int u = 0; u < U; u++) x[r][u] = splat(A[r * pitch + u * step]);
  enum { wide = 2 * LANES };
  int j = 0;
  for (; R == 1 && j + wide <= n; j += wide) sweepVectors(R, U, 2, x, b + j, pitchB, y + j, pitchY);
  for (; j + LANES <= n; j += LANES) sweepVectors(R, U, 1, x, b + j, pitchB, y + j, pitchY);
  if (j == n) return;
  UNROLL for (int r = 0; r < R; r++) {
    vf sum = loadPart(y + r * pitchY + j, n - j);
    UNROLL for (int u = 0; u < U; u++) sum = fma_(x[r][u], loadPart(b + u * pitchB + j, n - j), sum);
    storePart(y + r * pitchY + j, sum, n - j);
  }
}

#define SWEEP(name, R, U)                                                                                            \
  static __attribute__((noinline)) void FN(name)(int steps, const float* A, int64_t pitch, int64_t step,             \
                                                 const float* b, int64_t pitchB, float* y, int64_t pitchY, int n) {  \
    int k = 0;                                                                                                       \
    for (; k + U <= steps; k += U) sweep(R, U, A + k * step, pitch, step, b + k * pitchB, pitchB, y, pitchY, n);     \
    for (; k < steps; k++) sweep(R, 1, A + k * step, pitch, step, b + k * pitchB, pitchB, y, pitchY, n);             \
  }
SWEEP(sweep1, 1, 8)
SWEEP(sweep2, 2, 6)
SWEEP(sweep3, 3, 4)
SWEEP(sweep4, 4, 4)

// The columns j of C, four rows at a time; more rows take inner in blocks, so that B stays in the cache for all.
static void sweepBlock(const Product* p, int batch, Span j) {
  const float* A = p->A + (int64_t)batch * p->rows * p->inner;
  const float* B = p->B + (int64_t)batch * p->inner * p->columns + j.from;
  float* C = p->C + (int64_t)batch * p->rows * p->columns + j.from;
  const int64_t pitch = p->transposeA ? 1 : p->inner, step = p->transposeA ? p->rows : 1, columns = p->columns;
  const int n = j.to - j.from, most = p->rows <= 4 ? p->inner : sweepInner;
  for (int r = 0; r < p->rows && !p->accumulate; r++) {
    for (int x = 0; x < n; x++) C[r * columns + x] = 0.0f;
  }
  for (int k = 0; k < p->inner; k += most) {
    const int steps = MIN(most, p->inner - k);
    for (int r = 0; r < p->rows; r += 4) {
      const float *a = A + r * pitch + k * step, *b = B + k * columns;
      float* c = C + r * columns;
      switch (p->rows - r) {
        case 1: FN(sweep1)(steps, a, pitch, step, b, columns, c, columns, n); break;
        case 2: FN(sweep2)(steps, a, pitch, step, b, columns, c, columns, n); break;
        case 3: FN(sweep3)(steps, a, pitch, step, b, columns, c, columns, n); break;
        default: FN(sweep4)(steps, a, pitch, step, b, columns, c, columns, n);
      }
    }
  }
}
