// Forward and backward are one: out (+)= in k / (1 − rate), k hashed from the element's index. A task is a block of
// 4096. Traffic: 2 floats an element; about 20 integer operations a vector.
#include "rows.h"

typedef uint32_t vu __attribute__((vector_size(VB)));

INLINE vu mixWords(vu x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

INLINE void dropVector(const float* in, float* out, vu key0, vu key1, int adds, int i, int threshold, float scale,
                       int part) {
  const vu index = (vu)laneIndex() + (uint32_t)i;
  const vi word = (vi)(mixWords(mixWords(index ^ key0) + key1) >> 8);
  const vf y = where(word >= threshold, loadUpTo(in + i, part) * scale, (vf){0});
  storeUpTo(out + i, adds ? loadUpTo(out + i, part) + y : y, part);
}

INLINE void drop(const float* in, float* out, const int32_t* seed, int adds, int begin, int end, int threshold,
                 float scale) {
  const vu key0 = mixWords((vu){0} + ((uint32_t)seed[0] ^ 0x9e3779b9u));
  const vu key1 = mixWords(key0 + (uint32_t)seed[1]);
  int i = begin;
  for (; i + LANES <= end; i += LANES) dropVector(in, out, key0, key1, adds, i, threshold, scale, LANES);
  if (i < end) dropVector(in, out, key0, key1, adds, i, threshold, scale, end - i);
}

typedef struct {
  ref u, seed, y, scratch;
  int32_t pass, size, threshold;
  float scale;
} Dropout;

KERNEL(dropout) {
  const Dropout* a = arguments;
  drop(FLOATS(a->u), FLOATS(a->y), INTS(a->seed), 0, begin * 4096, MIN(end * 4096, a->size), a->threshold, a->scale);
}

typedef struct {
  ref u, seed, y, dy, du, dSeed;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, size, threshold;
  float scale;
} DropoutBackward;

KERNEL(dropoutBackward) {
  const DropoutBackward* a = arguments;
  if (!a->du) return;
  const int last = MIN(end * 4096, a->size);
  drop(FLOATS(a->dy), FLOATS(a->du), INTS(a->seed), a->accumulate & 1, begin * 4096, last, a->threshold, a->scale);
}
