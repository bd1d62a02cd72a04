// What softmax and cross-entropy do to a row of n numbers.
#pragma once
#include "rows.h"
#include "vectorMath.h"

// About 4096 elements. Also in softmax.ts.
INLINE int rowsOfTask(int n) { return MAX(1, 4096 / n); }

// exp(u − most), for u ≤ most. Below exp(−87) it is 0.
INLINE vf expBelow(vf u, vf most) { return exp2Decay((u - most) * LOG2E); }

// The largest number of a row, NaN left out.
INLINE float maxRow(const float* u, int n) {
  vf m[4];
  UNROLL for (int k = 0; k < 4; k++) m[k] = splat(-__builtin_inff());
  int j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) m[k] = atLeast(m[k], load(u + j + k * LANES));
  }
  for (; j + LANES <= n; j += LANES) m[0] = atLeast(m[0], load(u + j));
  if (j < n) m[1] = atLeast(m[1], where(laneIndex() < n - j, loadPart(u + j, n - j), m[1]));
  return maxLanes(atLeast(atLeast(m[0], m[1]), atLeast(m[2], m[3])));
}

// Σ exp(u − m). NaN anywhere gives NaN.
INLINE float sumExpRow(const float* u, int n, vf m) {
  vf s[4] = {0};
  int j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) s[k] += expBelow(load(u + j + k * LANES), m);
  }
  for (; j + LANES <= n; j += LANES) s[0] += expBelow(load(u + j), m);
  if (j < n) s[1] += firstLanes(expBelow(loadPart(u + j, n - j), m), n - j);
  return sumLanes((s[0] + s[1]) + (s[2] + s[3]));
}
