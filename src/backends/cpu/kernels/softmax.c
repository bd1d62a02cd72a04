// A task is as many rows as make about 4096 elements. A row is read three times, from memory once if it fits the cache.
// Traffic: forward 2, backward 3 floats an element.
#include "softmax.h"

typedef struct {
  ref u, y, scratch;
  int32_t pass, rows, size;
} Softmax;

KERNEL(softmax) {
  const Softmax* a = arguments;
  const int n = a->size, rows = rowsOfTask(n);
  for (int row = begin * rows; row < MIN(end * rows, a->rows); row++) {
    const float* u = FLOATS(a->u) + (long)row * n;
    float* y = FLOATS(a->y) + (long)row * n;
    const vf most = splat(maxRow(u, n));
    const vf inverse = splat(1 / sumExpRow(u, n, most));
    int j = 0;
    for (; j + LANES <= n; j += LANES) store(y + j, expBelow(load(u + j), most) * inverse);
    if (j < n) storePart(y + j, expBelow(loadPart(u + j, n - j), most) * inverse, n - j);
  }
}

typedef struct {
  ref u, y, dy, du;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, rows, size;
} SoftmaxBackward;

INLINE void softmaxBackwardVector(const float* y, const float* dy, float* du, vf mean, int adds, int part) {
  const vf d = loadUpTo(y, part) * (loadUpTo(dy, part) - mean);
  storeUpTo(du, adds ? loadUpTo(du, part) + d : d, part);
}

KERNEL(softmaxBackward) {
  const SoftmaxBackward* a = arguments;
  if (!a->du) return;
  const int n = a->size, rows = rowsOfTask(n);
  for (int row = begin * rows; row < MIN(end * rows, a->rows); row++) {
    const float* y = FLOATS(a->y) + (long)row * n;
    const float* dy = FLOATS(a->dy) + (long)row * n;
    float* du = FLOATS(a->du) + (long)row * n;
    const vf mean = splat(dotRow(y, dy, n));
    int j = 0;
    for (; j + LANES <= n; j += LANES) softmaxBackwardVector(y + j, dy + j, du + j, mean, a->accumulate, LANES);
    if (j < n) softmaxBackwardVector(y + j, dy + j, du + j, mean, a->accumulate, n - j);
  }
}
