// A task is a block of 4096 elements. Traffic: 4 floats read, 3 written an element.
#include "rows.h"

typedef struct {
  ref parameter, gradient, m, v, schedule, clip, scratch;
  int32_t pass, size;
  float beta1, beta2, rest1, rest2, epsilon, weightDecay;
} Adamw;

INLINE void adamwVector(const Adamw* a, float* parameter, const float* gradient, float* moment1, float* moment2,
                        const float* schedule, float clip, int part) {
  const vf rate = splat(schedule[0]), s1 = splat(schedule[1]), s2 = splat(schedule[2]);
  const vf decay = splat(schedule[0] * a->weightDecay);
  const vf p = loadUpTo(parameter, part), g = clip * loadUpTo(gradient, part);
  const vf m = fma_(splat(a->beta1), loadUpTo(moment1, part), a->rest1 * g);
  const vf v = fma_(splat(a->beta2), loadUpTo(moment2, part), a->rest2 * g * g);
  const vf step = m * s1 / fma_(squareRoot(v), s2, splat(a->epsilon));
  storeUpTo(parameter, fma_(-decay, p, p) - rate * step, part);
  storeUpTo(moment1, m, part);
  storeUpTo(moment2, v, part);
}

KERNEL(adamw) {
  const Adamw copy = *(const Adamw*)arguments, *a = &copy;
  float *p = FLOATS(a->parameter), *g = FLOATS(a->gradient), *m = FLOATS(a->m), *v = FLOATS(a->v);
  const float schedule[3] = {FLOATS(a->schedule)[0], FLOATS(a->schedule)[1], FLOATS(a->schedule)[2]};
  const float clip = a->clip ? FLOATS(a->clip)[0] : 1;
  const int last = MIN(end * 4096, a->size);
  int i = begin * 4096;
  for (; i + LANES <= last; i += LANES) adamwVector(a, p + i, g + i, m + i, v + i, schedule, clip, LANES);
  if (i < last) adamwVector(a, p + i, g + i, m + i, v + i, schedule, clip, last - i);
}
