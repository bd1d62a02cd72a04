// A task is 32 rows. A row is read twice, the second time from the nearest cache. Traffic: forward 2, backward 3 floats
// an element. The gradient of gain: one partial sum for each task in scratch, added up in a second pass.
#include "rows.h"

typedef struct {
  ref u, gain, y, scratch;
  int32_t pass, rows, dModel;
  float epsilon;
} RmsNorm;

INLINE void rmsNormVector(const float* u, const float* gain, float* y, vf r, int part) {
  storeUpTo(y, loadUpTo(gain, part) * loadUpTo(u, part) * r, part);
}

INLINE void rmsNormRows(const RmsNorm* a, char* base, int row, const int count) {
  const int n = a->dModel;
  const float* u = FLOATS(a->u) + (long)row * n;
  const float* gain = FLOATS(a->gain);
  float* y = FLOATS(a->y) + (long)row * n;
  float squares[LANES] = {0}, r[LANES];
  for (int k = 0; k < count; k++) squares[k] = dotRow(u + (long)k * n, u + (long)k * n, n);
  store(r, 1 / squareRoot(load(squares) / (float)n + a->epsilon));
  for (int k = 0; k < count; k++, u += n, y += n) {
    const vf scale = splat(r[k]);
    int j = 0;
    for (; j + LANES <= n; j += LANES) rmsNormVector(u + j, gain + j, y + j, scale, LANES);
    if (j < n) rmsNormVector(u + j, gain + j, y + j, scale, n - j);
  }
}

KERNEL(rmsNorm) {
  const RmsNorm* a = arguments;
  const int last = MIN(end * ROWS, a->rows);
  int row = begin * ROWS;
  for (; row + TOGETHER <= last; row += TOGETHER) rmsNormRows(a, base, row, TOGETHER);
  for (; row < last; row++) rmsNormRows(a, base, row, 1);
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

// The same vector of `count` rows, whose scales are r and pulls r² mean(g dy u). du and partial may be left out.
INLINE void rmsNormBackwardVector(const float* u, const float* gain, const float* dy, float* du, int adds,
                                  float* partial, int first, const float* r, const float* pull, int j, long n,
                                  const int count, int part) {
  const vf g = loadUpTo(gain, part);
  vf sum = first || !partial ? (vf){0} : loadUpTo(partial + j, part);
  UNROLL for (int k = 0; k < count; k++) {
    const vf x = loadUpTo(u + k * n, part), d = loadUpTo(dy + k * n, part), scale = splat(r[k]);
    if (du) {
      float* to = du + k * n + j;
      const vf dx = scale * (g * d - x * splat(pull[k]));
      storeUpTo(to, adds ? loadUpTo(to, part) + dx : dx, part);
    }
    sum = fma_(d * x, scale, sum);
  }
  if (partial) storeUpTo(partial + j, sum, part);
}

INLINE void rmsNormBackwardRows(const RmsNormBackward* a, char* base, int row, float* partial, const int count) {
  const int n = a->dModel, adds = a->accumulate & 1, first = row % ROWS == 0;
  const float* gain = FLOATS(a->gain);
  const float* u = FLOATS(a->u) + (long)row * n;
  const float* dy = FLOATS(a->dy) + (long)row * n;
  float* du = a->du ? FLOATS(a->du) + (long)row * n : 0;
  float squares[LANES] = {0}, products[LANES] = {0}, r[LANES], pull[LANES];
  for (int k = 0; k < count; k++) {
    rmsNormSums(u + (long)k * n, gain, dy + (long)k * n, n, &squares[k], &products[k]);
  }
  const vf scale = 1 / squareRoot(load(squares) / (float)n + a->epsilon);
  store(r, scale);
  store(pull, scale * scale * load(products) / (float)n);
  int j = 0;
  for (; j + LANES <= n; j += LANES) {
    rmsNormBackwardVector(u + j, gain + j, dy + j, du, adds, partial, first, r, pull, j, n, count, LANES);
  }
  if (j < n) rmsNormBackwardVector(u + j, gain + j, dy + j, du, adds, partial, first, r, pull, j, n, count, n - j);
}

KERNEL(rmsNormBackward) {
  const RmsNormBackward* a = arguments;
  for (int task = begin; task < end; task++) {
    float* partial = a->dGain ? FLOATS(a->scratch) + (long)task * a->dModel : 0;
    const int last = MIN((task + 1) * ROWS, a->rows);
    int row = task * ROWS;
    for (; row + TOGETHER <= last; row += TOGETHER) rmsNormBackwardRows(a, base, row, partial, TOGETHER);
    for (; row < last; row++) rmsNormBackwardRows(a, base, row, partial, 1);
  }
}

KERNEL(rmsNormBackwardGain) {
  const RmsNormBackward* a = arguments;
  if (!a->dGain) return;
  const int n = a->dModel, blocks = (a->rows + ROWS - 1) / ROWS;
  sumBlocks(FLOATS(a->scratch), blocks, n, FLOATS(a->dGain), n, a->accumulate & 2, begin, end);
}
