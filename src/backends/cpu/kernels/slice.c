// slice, split and concat are one thing: rows of a whole, cut into parts. A task is a row, or 16384 columns of a long
// one. The arguments of split and concat hold as many refs and widths as there are parts, so they are read by position.
#include "rows.h"

#define PIECE 16384

INLINE void move(float* to, const float* from, int n, int add) {
  for (int i = 0; i < n; i += LANES) {
    const vf v = loadUpTo(from + i, n - i);
    storeUpTo(to + i, add ? loadUpTo(to + i, n - i) + v : v, n - i);
  }
}

INLINE void clear(float* to, int n) {
  for (int i = 0; i < n; i++) to[i] = 0;
}

INLINE int sumOf(const int32_t* widths, int count) {
  int sum = 0;
  for (int i = 0; i < count; i++) sum += widths[i];
  return sum;
}

// Whole → parts; bit i of `add` adds to part i. Parts that nobody wants are 0.
static void scatter(char* base, ref whole, const ref* parts, uint32_t add, const int32_t* widths, int count, int begin,
                    int end) {
  const int width = sumOf(widths, count), pieces = (width + PIECE - 1) / PIECE;
  for (int task = begin; task < end; task++) {
    const int row = task / pieces, from = task % pieces * PIECE, to = MIN(from + PIECE, width);
    const float* source = FLOATS(whole) + (long)row * width;
    for (int i = 0, start = 0; i < count; start += widths[i++]) {
      const int first = MAX(from, start), n = MIN(to, start + widths[i]) - first;
      if (parts[i] && n > 0)
        move(FLOATS(parts[i]) + (long)row * widths[i] + first - start, source + first, n, add >> i & 1);
    }
  }
}

// Parts → whole, which is added to if `add`. Parts that are not there are zero.
static void gather(char* base, ref whole, const ref* parts, int add, const int32_t* widths, int count, int begin,
                   int end) {
  const int width = sumOf(widths, count), pieces = (width + PIECE - 1) / PIECE;
  for (int task = begin; task < end; task++) {
    const int row = task / pieces, from = task % pieces * PIECE, to = MIN(from + PIECE, width);
    float* target = FLOATS(whole) + (long)row * width;
    for (int i = 0, start = 0; i < count; start += widths[i++]) {
      const int first = MAX(from, start), n = MIN(to, start + widths[i]) - first;
      if (n <= 0) continue;
      if (parts[i]) move(target + first, FLOATS(parts[i]) + (long)row * widths[i] + first - start, n, add);
      else if (!add) clear(target + first, n);
    }
  }
}

// split forward:   u, part…, scratch, pass, rows, width…
// split backward:  u, part…, ∂part…, du, accumulate, scratch, pass, rows, width…
// concat forward:  part…, y, scratch, pass, rows, width…
// concat backward: part…, y, dy, ∂part…, accumulate, scratch, pass, rows, width…
#define ARITY(n)                                                                           \
  KERNEL(split##n##Forward) {                                                              \
    const ref* a = arguments;                                                              \
    scatter(base, a[0], a + 1, 0, (const int32_t*)a + n + 4, n, begin, end);               \
  }                                                                                        \
  KERNEL(split##n##Backward) {                                                             \
    const ref* a = arguments;                                                              \
    gather(base, a[2 * n + 1], a + n + 1, a[2 * n + 2], (const int32_t*)a + 2 * n + 6, n, begin, end); \
  }                                                                                        \
  KERNEL(concat##n##Forward) {                                                             \
    const ref* a = arguments;                                                              \
    gather(base, a[n], a, 0, (const int32_t*)a + n + 4, n, begin, end);                    \
  }                                                                                        \
  KERNEL(concat##n##Backward) {                                                            \
    const ref* a = arguments;                                                              \
    scatter(base, a[n + 1], a + n + 2, a[2 * n + 2], (const int32_t*)a + 2 * n + 6, n, begin, end); \
  }

ARITY(2)
ARITY(3)
ARITY(4)
ARITY(5)
ARITY(6)
ARITY(7)
ARITY(8)

typedef struct {
  ref u, y, scratch;
  int32_t pass, rows, widths[3];
} SliceForward;

typedef struct {
  ref u, y, dy, du;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, rows, widths[3];
} SliceBackward;

KERNEL(sliceForward) {
  const SliceForward* p = arguments;
  const ref parts[3] = {0, p->y, 0};
  scatter(base, p->u, parts, 0, p->widths, 3, begin, end);
}

KERNEL(sliceBackward) {
  const SliceBackward* p = arguments;
  const ref parts[3] = {0, p->dy, 0};
  gather(base, p->du, parts, p->accumulate, p->widths, 3, begin, end);
}

typedef struct {
  ref u, y, scratch;
  int32_t pass, outer, n, m;
} TransposeForward;

typedef struct {
  ref u, y, dy, du;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, outer, n, m;
} TransposeBackward;

// to[j, i] = from[i, j], from being (outer, n, m). A task is 32 of the n rows: what it writes lies in runs of 32.
INLINE void flip(float* to, const float* from, int n, int m, int add, int begin, int end) {
  const int blocks = (n + 31) / 32;
  for (int task = begin; task < end; task++) {
    const int first = task % blocks * 32, last = MIN(first + 32, n);
    const float* source = from + (long)(task / blocks) * n * m;
    float* target = to + (long)(task / blocks) * n * m;
    for (int j = 0; j < m; j++) {
      for (int i = first; i < last; i++) {
        const float v = source[(long)i * m + j];
        float* t = target + (long)j * n + i;
        *t = add ? *t + v : v;
      }
    }
  }
}

KERNEL(transposeForward) {
  const TransposeForward* p = arguments;
  flip(FLOATS(p->y), FLOATS(p->u), p->n, p->m, 0, begin, end);
}

KERNEL(transposeBackward) {
  const TransposeBackward* p = arguments;
  flip(FLOATS(p->du), FLOATS(p->dy), p->m, p->n, p->accumulate, begin, end);
}
