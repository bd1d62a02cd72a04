// Sums over a row of n floats, and over the rows of a matrix in blocks. The order of each depends on n, or on the
// number of rows, alone. The end of a row that fills no vector goes through the same operations, its other lanes 0.
#pragma once
#include "kernel.h"

// The whole vector when n says so; a constant n costs no test.
INLINE vf loadUpTo(const float* p, int n) { return n >= LANES ? load(p) : loadPart(p, n); }
INLINE void storeUpTo(float* p, vf v, int n) {
  if (n >= LANES) store(p, v);
  else storePart(p, v, n);
}

// v with all lanes from n on set to 0.
INLINE vf firstLanes(vf v, int n) { return (vf)((vi)v & (laneIndex() < n)); }

// Σ a b, in four sums side by side because one would wait for each addition.
INLINE float dotRow(const float* a, const float* b, int n) {
  vf s[4] = {0};
  int j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) s[k] = fma_(load(a + j + k * LANES), load(b + j + k * LANES), s[k]);
  }
  for (; j + LANES <= n; j += LANES) s[0] = fma_(load(a + j), load(b + j), s[0]);
  if (j < n) s[1] = fma_(loadPart(a + j, n - j), loadPart(b + j, n - j), s[1]);
  return sumLanes((s[0] + s[1]) + (s[2] + s[3]));
}

// ROWS: rows whose contributions to the gradient of a parameter are summed by one task; also in rmsNorm.ts.
// TOGETHER: rows whose sums are formed together, because a square root and a division keep one row waiting.
enum { ROWS = 32, COLUMNS = 32, TOGETHER = 4 };

// out[j] (+)= Σ over blocks of partials[block * width + j] for the columns of tasks begin ≤ i < end.
INLINE void sumBlocks(const float* partials, int blocks, int width, float* out, int n, int adds, int begin, int end) {
  const int last = MIN(end * COLUMNS, n);
  for (int j = begin * COLUMNS; j < last; j += LANES) {
    vf sum = {0};
    for (int block = 0; block < blocks; block++) sum += loadUpTo(partials + (long)block * width + j, last - j);
    storeUpTo(out + j, adds ? loadUpTo(out + j, last - j) + sum : sum, last - j);
  }
}
