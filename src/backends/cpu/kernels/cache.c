// Rows written into a cache at a position. A task is a block of 4096 floats of the rows, copied in stretches of a row.
#include "kernel.h"

typedef struct {
  ref cache, rows, position, scratch;
  int32_t pass, batch, capacity, length, width;
} AssignAt;

KERNEL(assignAt) {
  const AssignAt* p = arguments;
  const int width = p->width, position = *INTS(p->position), last = MIN(end * 4096, p->batch * p->length * width);
  const float* rows = FLOATS(p->rows);
  float* cache = FLOATS(p->cache);
  for (int at = begin * 4096; at < last;) {
    const int row = at / width, next = MIN(last, (row + 1) * width), to = position + row % p->length;
    if (to >= 0 && to < p->capacity) {
      float* line = cache + ((int64_t)(row / p->length) * p->capacity + to) * width - (int64_t)row * width;
      for (int i = at; i < next; i++) line[i] = rows[i];
    }
    at = next;
  }
}

typedef struct {
  ref position, y, scratch;
  int32_t pass, by;
} Advance;

KERNEL(advance) {
  const Advance* p = arguments;
  *INTS(p->y) = *INTS(p->position) + p->by;
}
