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
    const float most = maxRow(u, n);
    const vf inverse = splat(1 / sumExpRow(u, n, most));
    for (int j = 0; j < n; j += LANES) {
      storeUpTo(y + j, expBelow(loadUpTo(u + j, n - j), splat(most)) * inverse, n - j);
    }
  }
}

typedef struct {
  ref u, y, dy, du;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, rows, size;
} SoftmaxBackward;

KERNEL(softmaxBackward) {
  const SoftmaxBackward* a = arguments;
  if (!a->du) return;
  const int n = a->size, rows = rowsOfTask(n);
  for (int row = begin * rows; row < MIN(end * rows, a->rows); row++) {
    const float* y = FLOATS(a->y) + (long)row * n;
    const float* dy = FLOATS(a->dy) + (long)row * n;
    float* du = FLOATS(a->du) + (long)row * n;
    const vf mean = splat(dotRow(y, dy, n));
    for (int j = 0; j < n; j += LANES) {
      const vf d = loadUpTo(y + j, n - j) * (loadUpTo(dy + j, n - j) - mean);
      storeUpTo(du + j, a->accumulate ? loadUpTo(du + j, n - j) + d : d, n - j);
    }
  }
}
