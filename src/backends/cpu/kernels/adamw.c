// A task is a block of 4096 elements. Traffic: 4 floats read, 3 written an element.
#include "rows.h"

typedef struct {
  ref parameter, gradient, m, v, schedule, clip, scratch;
  int32_t pass, size;
  float beta1, beta2, rest1, rest2, epsilon, weightDecay;
} Adamw;

KERNEL(adamw) {
  const Adamw* a = arguments;
  const float* schedule = FLOATS(a->schedule);
  const vf rate = splat(schedule[0]), s1 = splat(schedule[1]), s2 = splat(schedule[2]);
  const vf clip = splat(a->clip ? FLOATS(a->clip)[0] : 1);
  const vf decay = splat(schedule[0] * a->weightDecay), epsilon = splat(a->epsilon);
  const int last = MIN(end * 4096, a->size);
  for (int i = begin * 4096; i < last; i += LANES) {
    const int n = last - i;
    float *parameter = FLOATS(a->parameter) + i, *firstMoment = FLOATS(a->m) + i, *secondMoment = FLOATS(a->v) + i;
    const vf g = clip * loadUpTo(FLOATS(a->gradient) + i, n);
    const vf m = fma_(splat(a->beta1), loadUpTo(firstMoment, n), a->rest1 * g);
    const vf v = fma_(splat(a->beta2), loadUpTo(secondMoment, n), a->rest2 * g * g);
    const vf p = loadUpTo(parameter, n);
    const vf step = m * s1 / fma_(squareRoot(v), s2, epsilon);
    storeUpTo(parameter, fma_(-decay, p, p) - rate * step, n);
    storeUpTo(firstMoment, m, n);
    storeUpTo(secondMoment, v, n);
  }
}
