// A task is 32 rows. A row is read twice (backward) or three times, from memory once. Traffic: forward 2, backward 3
// floats an element. Gradients of gain and bias: partial sums of each task in scratch, added up in a second pass.
#include "rows.h"

typedef struct {
  ref u, gain, bias, y, scratch;
  int32_t pass, rows, dModel;
  float epsilon;
} LayerNorm;

// The mean of a row and r = 1/√(mean((u − μ)²) + ε).
INLINE void layerNormStatistics(const float* u, int n, float epsilon, float* mean, float* r) {
  vf s[4] = {0}, q[4] = {0};
  int j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) s[k] += load(u + j + k * LANES);
  }
  for (; j < n; j += LANES) s[0] += loadUpTo(u + j, n - j);
  *mean = sumLanes((s[0] + s[1]) + (s[2] + s[3])) / n;
  const vf m = splat(*mean);
  for (j = 0; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) {
      const vf x = load(u + j + k * LANES) - m;
      q[k] = fma_(x, x, q[k]);
    }
  }
  for (; j < n; j += LANES) {
    const vf x = firstLanes(loadUpTo(u + j, n - j) - m, n - j);
    q[0] = fma_(x, x, q[0]);
  }
  *r = 1 / __builtin_sqrtf(sumLanes((q[0] + q[1]) + (q[2] + q[3])) / n + epsilon);
}

KERNEL(layerNorm) {
  const LayerNorm* a = arguments;
  const int n = a->dModel;
  const float *gain = FLOATS(a->gain), *bias = FLOATS(a->bias);
  for (int row = begin * ROWS; row < MIN(end * ROWS, a->rows); row++) {
    const float* u = FLOATS(a->u) + (long)row * n;
    float* y = FLOATS(a->y) + (long)row * n;
    float mean, scale;
    layerNormStatistics(u, n, a->epsilon, &mean, &scale);
    const vf m = splat(mean), r = splat(scale);
    for (int j = 0; j < n; j += LANES) {
      const vf x = (loadUpTo(u + j, n - j) - m) * r;
      storeUpTo(y + j, fma_(loadUpTo(gain + j, n - j), x, loadUpTo(bias + j, n - j)), n - j);
    }
  }
}

typedef struct {
  ref u, gain, bias, y, dy, du, dGain, dBias;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, rows, dModel;
  float epsilon;
} LayerNormBackward;

KERNEL(layerNormBackward) {
  const LayerNormBackward* a = arguments;
  const int n = a->dModel, adds = a->accumulate & 1;
  const float* gain = FLOATS(a->gain);
  for (int task = begin; task < end; task++) {
    float* partials = FLOATS(a->scratch) + (long)task * 2 * n;
    for (int row = task * ROWS; row < MIN((task + 1) * ROWS, a->rows); row++) {
      const float* u = FLOATS(a->u) + (long)row * n;
      const float* dy = FLOATS(a->dy) + (long)row * n;
      float* du = a->du ? FLOATS(a->du) + (long)row * n : 0;
      float mean, scale;
      layerNormStatistics(u, n, a->epsilon, &mean, &scale);
      const vf m = splat(mean), r = splat(scale);
      vf sum = {0}, sumX = {0};
      for (int j = 0; j < n; j += LANES) {
        const vf dx = loadUpTo(gain + j, n - j) * loadUpTo(dy + j, n - j);
        sum += dx;
        sumX = fma_(dx, (loadUpTo(u + j, n - j) - m) * r, sumX);
      }
      const vf offset = splat(sumLanes(sum) / n), slope = splat(sumLanes(sumX) / n);
      const int first = row % ROWS == 0;
      for (int j = 0; j < n; j += LANES) {
        const vf d = loadUpTo(dy + j, n - j), x = (loadUpTo(u + j, n - j) - m) * r;
        if (du) {
          const vf dx = r * (loadUpTo(gain + j, n - j) * d - fma_(x, slope, offset));
          storeUpTo(du + j, adds ? loadUpTo(du + j, n - j) + dx : dx, n - j);
        }
        const vf gainSum = first ? (vf){0} : loadUpTo(partials + j, n - j);
        const vf biasSum = first ? (vf){0} : loadUpTo(partials + n + j, n - j);
        storeUpTo(partials + j, fma_(d, x, gainSum), n - j);
        storeUpTo(partials + n + j, biasSum + d, n - j);
      }
    }
  }
}

KERNEL(layerNormBackwardGain) {
  const LayerNormBackward* a = arguments;
  const int n = a->dModel, blocks = (a->rows + ROWS - 1) / ROWS;
  const float* partials = FLOATS(a->scratch);
  if (a->dGain) sumBlocks(partials, blocks, 2 * n, FLOATS(a->dGain), n, a->accumulate & 2, begin, end);
  if (a->dBias) sumBlocks(partials + n, blocks, 2 * n, FLOATS(a->dBias), n, a->accumulate & 4, begin, end);
}
