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
  for (; j + LANES <= n; j += LANES) s[0] += load(u + j);
  if (j < n) s[1] += loadPart(u + j, n - j);
  *mean = sumLanes((s[0] + s[1]) + (s[2] + s[3])) / n;
  const vf m = splat(*mean);
  for (j = 0; j + 4 * LANES <= n; j += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) {
      const vf x = load(u + j + k * LANES) - m;
      q[k] = fma_(x, x, q[k]);
    }
  }
  for (; j + LANES <= n; j += LANES) {
    const vf x = load(u + j) - m;
    q[0] = fma_(x, x, q[0]);
  }
  if (j < n) {
    const vf x = firstLanes(loadPart(u + j, n - j) - m, n - j);
    q[1] = fma_(x, x, q[1]);
  }
  *r = 1 / __builtin_sqrtf(sumLanes((q[0] + q[1]) + (q[2] + q[3])) / n + epsilon);
}

INLINE void layerNormVector(const float* u, const float* gain, const float* bias, float* y, vf m, vf r, int part) {
  storeUpTo(y, fma_(loadUpTo(gain, part), (loadUpTo(u, part) - m) * r, loadUpTo(bias, part)), part);
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
    int j = 0;
    for (; j + LANES <= n; j += LANES) layerNormVector(u + j, gain + j, bias + j, y + j, m, r, LANES);
    if (j < n) layerNormVector(u + j, gain + j, bias + j, y + j, m, r, n - j);
  }
}

typedef struct {
  ref u, gain, bias, y, dy, du, dGain, dBias;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, rows, dModel;
  float epsilon;
} LayerNormBackward;

// Σ g dy and Σ g dy x, lane by lane.
INLINE void layerNormSums(const float* u, const float* gain, const float* dy, vf m, vf r, vf* sum, vf* sumX, int part) {
  const vf dx = loadUpTo(gain, part) * loadUpTo(dy, part);
  *sum += dx;
  *sumX = fma_(dx, (loadUpTo(u, part) - m) * r, *sumX);
}

// du, if it is wanted. Returns x.
INLINE vf layerNormGrad(const float* u, const float* gain, const float* dy, float* du, int j, int adds, vf m, vf r,
                        vf offset, vf slope, int part) {
  const vf x = (loadUpTo(u, part) - m) * r;
  if (du) {
    const vf dx = r * (loadUpTo(gain, part) * loadUpTo(dy, part) - fma_(x, slope, offset));
    storeUpTo(du + j, adds ? loadUpTo(du + j, part) + dx : dx, part);
  }
  return x;
}

INLINE void layerNormPartials(float* partials, int n, int first, vf x, vf dy, int part) {
  const vf gain = first ? (vf){0} : loadUpTo(partials, part);
  const vf bias = first ? (vf){0} : loadUpTo(partials + n, part);
  storeUpTo(partials, fma_(dy, x, gain), part);
  storeUpTo(partials + n, bias + dy, part);
}

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
      const int first = row % ROWS == 0;
      vf sum = {0}, sumX = {0};
      int j = 0;
      for (; j + LANES <= n; j += LANES) layerNormSums(u + j, gain + j, dy + j, m, r, &sum, &sumX, LANES);
      if (j < n) layerNormSums(u + j, gain + j, dy + j, m, r, &sum, &sumX, n - j);
      const vf offset = splat(sumLanes(sum) / n), slope = splat(sumLanes(sumX) / n);
      for (j = 0; j + LANES <= n; j += LANES) {
        const vf x = layerNormGrad(u + j, gain + j, dy + j, du, j, adds, m, r, offset, slope, LANES);
        layerNormPartials(partials + j, n, first, x, load(dy + j), LANES);
      }
      if (j < n) {
        const vf x = layerNormGrad(u + j, gain + j, dy + j, du, j, adds, m, r, offset, slope, n - j);
        layerNormPartials(partials + j, n, first, x, loadPart(dy + j, n - j), n - j);
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
