// Forward and backward are one: out (+)= in k / (1 − rate), k hashed from the element's index. A task is a block of 4096.
// Traffic: 2 floats an element; about 20 integer operations a vector.
#include "kernel.h"

typedef uint32_t vu __attribute__((vector_size(VB)));

INLINE vu mixWords(vu x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

INLINE void drop(const float* in, float* out, const int32_t* seed, int adds, int begin, int end, int threshold, float scale) {
  const vu key0 = mixWords((vu){0} + ((uint32_t)seed[0] ^ 0x9e3779b9u));
  const vu key1 = mixWords(key0 + (uint32_t)seed[1]);
  vu lane;
  for (int k = 0; k < LANES; k++) lane[k] = k;
  for (int i = begin; i < end; i += LANES) {
    const int n = MIN(LANES, end - i);
    const vi word = (vi)(mixWords(mixWords((lane + (uint32_t)i) ^ key0) + key1) >> 8);
    const vf u = n == LANES ? load(in + i) : loadPart(in + i, n);
    const vf y = where(word >= threshold, u * scale, (vf){0});
    const vf sum = !adds ? y : (n == LANES ? load(out + i) : loadPart(out + i, n)) + y;
    if (n == LANES) store(out + i, sum);
    else storePart(out + i, sum, n);
  }
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
