// A function of one number on every element, and its slope. A task is a block of 4096.
#pragma once
#include "rows.h"
#include "vectorMath.h"

typedef struct {
  ref u, y, scratch;
  int32_t pass, size;
  float c;  // for the ops that have a constant
} ElementwiseForward;

typedef struct {
  ref u, y, dy, du;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, size;
  float c;
} ElementwiseBackward;

// `value` may use u and c; `gradient` also y and dy. They are written once and serve the whole vectors and the last.
#define ELEMENTWISE(name, value, gradient)                                  \
  KERNEL(name##Forward) {                                                   \
    const ElementwiseForward* p = arguments;                                \
    const float* from = FLOATS(p->u);                                       \
    float* to = FLOATS(p->y);                                               \
    const int last = MIN(end * 4096, p->size);                              \
    for (int i = begin * 4096; i < last; i += LANES) {                      \
      const vf u = loadUpTo(from + i, last - i);                            \
      storeUpTo(to + i, value, last - i);                                   \
    }                                                                       \
  }                                                                         \
  KERNEL(name##Backward) {                                                  \
    const ElementwiseBackward* p = arguments;                               \
    const float* us = FLOATS(p->u);                                         \
    const float* ys = FLOATS(p->y);                                         \
    const float* dys = FLOATS(p->dy);                                       \
    float* to = FLOATS(p->du);                                              \
    const int last = MIN(end * 4096, p->size);                              \
    for (int i = begin * 4096; i < last; i += LANES) {                      \
      const vf u = loadUpTo(us + i, last - i), y = loadUpTo(ys + i, last - i); \
      const vf dy = loadUpTo(dys + i, last - i);                            \
      vf du = gradient;                                                     \
      if (p->accumulate) du += loadUpTo(to + i, last - i);                  \
      storeUpTo(to + i, du, last - i);                                      \
    }                                                                       \
  }
