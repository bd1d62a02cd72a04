// du = dy or du += dy: the shape changes, the numbers do not. A task is a block of 4096.
#include "kernel.h"

typedef struct {
  ref u, y, dy, du;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, size;
} ReshapeBackward;

KERNEL(reshapeBackward) {
  const ReshapeBackward* a = arguments;
  const float* dy = FLOATS(a->dy);
  float* du = FLOATS(a->du);
  const int last = MIN(end * 4096, a->size);
  for (int i = begin * 4096; i < last; i++) du[i] = a->accumulate ? du[i] + dy[i] : dy[i];
}
