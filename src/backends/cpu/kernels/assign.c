// target ← value, floats or integers alike. A task is a block of 4096.
#include "kernel.h"

typedef struct {
  ref target, value, scratch;
  int32_t pass, size;
} Assign;

KERNEL(assign) {
  const Assign* p = arguments;
  const int32_t* value = INTS(p->value);
  int32_t* target = INTS(p->target);
  const int last = MIN(end * 4096, p->size);
  for (int i = begin * 4096; i < last; i++) target[i] = value[i];
}
