// What softmax and cross-entropy do to a row of n numbers.
#pragma once
#include "rows.h"
#include "vectorMath.h"

// About 4096 elements. Also in softmax.ts.
INLINE int rowsOfTask(int n) { return MAX(1, 4096 / n); }

// exp(u − most), for u ≤ most. Below exp(−87) it is 0.
INLINE vf expBelow(vf u, float most) { return exp2Decay((u - splat(most)) * splat(LOG2E)); }

// The largest number of a row, NaN left out.
INLINE float maxRow(const float* u, int n) {
  float lanes[LANES];
  vf m[4];
  UNROLL for (int k = 0; k < 4; k++) m[k] = splat(-__builtin_inff());
  int j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) m[k] = atLeast(m[k], load(u + j + k * LANES));
  }
  for (; j + LANES <= n; j += LANES) m[0] = atLeast(m[0], load(u + j));
  store(lanes, atLeast(atLeast(m[0], m[1]), atLeast(m[2], m[3])));
  for (; j < n; j++) lanes[0] = u[j] > lanes[0] ? u[j] : lanes[0];
  UNROLL for (int width = LANES / 2; width > 0; width /= 2) {
    UNROLL for (int i = 0; i < width; i++) lanes[i] = MAX(lanes[i], lanes[i + width]);
  }
  return lanes[0];
}

// Σ exp(u − most). NaN anywhere gives NaN.
INLINE float sumExpRow(const float* u, int n, float most) {
  vf s[4] = {0};
  int j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) s[k] += expBelow(load(u + j + k * LANES), most);
  }
  for (; j < n; j += LANES) s[0] += firstLanes(expBelow(loadUpTo(u + j, n - j), most), n - j);
  return sumLanes((s[0] + s[1]) + (s[2] + s[3]));
}
