// A task is 32 rows. A row is read twice, the second time from the nearest cache. Traffic: forward 2, backward 3 floats
// an element. The gradient of gain: one partial sum for each task in scratch, added up in a second pass.
#include "rows.h"

typedef struct {
  ref u, gain, y, scratch;
  int32_t pass, rows, dModel;
  float epsilon;
} RmsNorm;

KERNEL(rmsNorm) {
  const RmsNorm* a = arguments;
  const int n = a->dModel;
  const float* gain = FLOATS(a->gain);
  for (int row = begin * ROWS; row < MIN(end * ROWS, a->rows); row++) {
    const float* u = FLOATS(a->u) + (long)row * n;
    float* y = FLOATS(a->y) + (long)row * n;
    const vf r = splat(1 / __builtin_sqrtf(dotRow(u, u, n) / n + a->epsilon));
    for (int j = 0; j < n; j += LANES) {
      storeUpTo(y + j, loadUpTo(gain + j, n - j) * loadUpTo(u + j, n - j) * r, n - j);
    }
  }
}

typedef struct {
  ref u, gain, y, dy, du, dGain;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, rows, dModel;
  float epsilon;
} RmsNormBackward;

// Σ u² and Σ g dy u of a row.
INLINE void rmsNormSums(const float* u, const float* gain, const float* dy, int n, float* squares, float* product) {
  vf s[2] = {0}, p[2] = {0};
  int j = 0;
  for (; j + 2 * LANES <= n; j += 2 * LANES) {
    UNROLL for (int k = 0; k < 2; k++) {
      const vf x = load(u + j + k * LANES);
      s[k] = fma_(x, x, s[k]);
      p[k] = fma_(load(gain + j + k * LANES) * load(dy + j + k * LANES), x, p[k]);
    }
  }
  for (; j < n; j += LANES) {
    const vf x = loadUpTo(u + j, n - j);
    s[0] = fma_(x, x, s[0]);
    p[0] = fma_(loadUpTo(gain + j, n - j) * loadUpTo(dy + j, n - j), x, p[0]);
  }
  *squares = sumLanes(s[0] + s[1]);
  *product = sumLanes(p[0] + p[1]);
}

KERNEL(rmsNormBackward) {
  const RmsNormBackward* a = arguments;
  const int n = a->dModel, adds = a->accumulate & 1;
  const float* gain = FLOATS(a->gain);
  for (int task = begin; task < end; task++) {
    float* partial = a->dGain ? FLOATS(a->scratch) + (long)task * n : 0;
    for (int row = task * ROWS; row < MIN((task + 1) * ROWS, a->rows); row++) {
      const float* u = FLOATS(a->u) + (long)row * n;
      const float* dy = FLOATS(a->dy) + (long)row * n;
      float* du = a->du ? FLOATS(a->du) + (long)row * n : 0;
      float squares, product;
      rmsNormSums(u, gain, dy, n, &squares, &product);
      const float scale = 1 / __builtin_sqrtf(squares / n + a->epsilon);
      const vf r = splat(scale), pull = splat(scale * scale * product / n);
      const int first = row % ROWS == 0;
      for (int j = 0; j < n; j += LANES) {
        const vf x = loadUpTo(u + j, n - j), d = loadUpTo(dy + j, n - j);
        if (du) {
          const vf dx = r * (loadUpTo(gain + j, n - j) * d - x * pull);
          storeUpTo(du + j, adds ? loadUpTo(du + j, n - j) + dx : dx, n - j);
        }
        if (partial) {
          const vf sum = first ? (vf){0} : loadUpTo(partial + j, n - j);
          storeUpTo(partial + j, fma_(d * x, r, sum), n - j);
        }
      }
    }
  }
}

KERNEL(rmsNormBackwardGain) {
  const RmsNormBackward* a = arguments;
  if (!a->dGain) return;
  const int n = a->dModel, blocks = (a->rows + ROWS - 1) / ROWS;
  sumBlocks(FLOATS(a->scratch), blocks, n, FLOATS(a->dGain), n, a->accumulate & 2, begin, end);
}
