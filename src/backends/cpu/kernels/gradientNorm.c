// Sum of squares: a partial sum for each block of 4096 in scratch, then one task adds those in order, in double: there
// are thousands of them. Traffic: 1 float an element.
#include "rows.h"

typedef struct {
  ref u, before, sum, scratch;
  int32_t pass, size;
} SumOfSquares;

KERNEL(sumOfSquaresBlocks) {
  const SumOfSquares* a = arguments;
  for (int block = begin; block < end; block++) {
    const float* u = FLOATS(a->u) + block * 4096;
    FLOATS(a->scratch)[block] = dotRow(u, u, MIN(4096, a->size - block * 4096));
  }
}

KERNEL(sumOfSquares) {
  const SumOfSquares* a = arguments;
  double sum = a->before ? FLOATS(a->before)[0] : 0;
  for (int block = 0; block * 4096 < a->size; block++) sum += FLOATS(a->scratch)[block];
  FLOATS(a->sum)[0] = sum;
}

typedef struct {
  ref sum, factor, norm, scratch;
  int32_t pass;
  float maxNorm;
} ClipFactor;

KERNEL(clipFactor) {
  const ClipFactor* a = arguments;
  const float norm = __builtin_sqrtf(FLOATS(a->sum)[0]), factor = a->maxNorm / (norm + 1e-6f);
  FLOATS(a->norm)[0] = norm;
  FLOATS(a->factor)[0] = factor > 1 ? 1 : factor;
}
