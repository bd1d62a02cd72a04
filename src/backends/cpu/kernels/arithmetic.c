// y = f(a, b) row by row; along the last axis an operand moves one element at a time or stands still. A forward task
// is a block of 4096 elements.
//
// Backward: where an operand is not repeated, its gradient is written element by element. Where one is, a task sums
// its share of y into a copy of the gradient in scratch, and pass 1 adds up the copies in order. How many tasks there
// are (at most 16) depends on the sizes alone. Traffic: that of the operands, and at most that of y for the copies.
#include "elementwise.h"

typedef struct {
  ref a, b, y, scratch;
  int32_t pass;
  int32_t n[4], strideA[4], strideB[4];
} BinaryForward;

typedef struct {
  ref a, b, y, dy, da, db;
  uint32_t accumulate;
  ref scratch;
  int32_t pass;
  int32_t n[4], strideA[4], strideB[4];
} BinaryBackward;

// The element of an operand with which a row of y begins.
INLINE int rowStart(const int32_t* n, const int32_t* stride, int row) {
  const int k = row % n[2], ij = row / n[2];
  return ij / n[1] * stride[0] + ij % n[1] * stride[1] + k * stride[2];
}

INLINE vf operand(const float* p, int stride, int j, int n) { return stride ? loadUpTo(p + j, n) : splat(*p); }

// Elements of an operand; those of y if it is not repeated.
INLINE int lengthOf(const int32_t* n, const int32_t* stride) {
  int length = 1;
  for (int i = 0; i < 4; i++) length *= stride[i] ? n[i] : 1;
  return length;
}

// What a gradient is written to, and how.
typedef struct {
  float* to;    // the gradient, or this task's copy; null: not wanted
  int repeated;
  int add;      // to what is there
} Target;

INLINE void writeGradient(Target t, int start, int stride, int j, int n, vf g, vf* sum) {
  if (!t.to) return;
  if (t.repeated && !stride) *sum += firstLanes(g, n);
  else storeUpTo(t.to + start + j, t.add ? g + loadUpTo(t.to + start + j, n) : g, n);
}

// Elements of y of one backward task, as in arithmetic.ts.
INLINE int shareOf(int size, int width, int copies) {
  if (copies == 0) return 4096;
  const int tasks = MAX(1, MIN(MIN(16, (size + 4095) / 4096), size / copies));
  const int share = (size + tasks - 1) / tasks;
  return width > 0 && width <= share ? (share + width - 1) / width * width : MAX(1, share);
}

// Pass 1: gradient = Σ copies, of blocks begin ≤ i < end.
INLINE void sumCopies(float* gradient, const float* copy, int length, int copies, int pitch, int add, int begin,
                      int end) {
  const int last = MIN(end * 4096, length);
  for (int i = begin * 4096; i < last; i += LANES) {
    const int n = last - i;
    vf sum = add ? loadUpTo(gradient + i, n) : splat(0.0f);
    for (int k = 0; k < copies; k++) sum += loadUpTo(copy + (long)k * pitch + i, n);
    storeUpTo(gradient + i, sum, n);
  }
}

// `value` may use a and b; the gradients also dy.
#define BINARY(name, value, gradientA, gradientB)                                                      \
  KERNEL(name##Forward) {                                                                              \
    const BinaryForward* p = arguments;                                                                \
    const float *as = FLOATS(p->a), *bs = FLOATS(p->b);                                                \
    float* y = FLOATS(p->y);                                                                           \
    const int width = p->n[3], stepA = p->strideA[3], stepB = p->strideB[3];                           \
    const int last = MIN(end * 4096, p->n[0] * p->n[1] * p->n[2] * width);                             \
    for (int at = begin * 4096; at < last;) {                                                          \
      const int row = at / width, column = at % width, count = MIN(width - column, last - at);         \
      const float* rowA = as + rowStart(p->n, p->strideA, row) + column * stepA;                       \
      const float* rowB = bs + rowStart(p->n, p->strideB, row) + column * stepB;                       \
      for (int j = 0; j < count; j += LANES) {                                                         \
        const vf a = operand(rowA, stepA, j, count - j), b = operand(rowB, stepB, j, count - j);       \
        storeUpTo(y + at + j, value, count - j);                                                       \
      }                                                                                                \
      at += count;                                                                                     \
    }                                                                                                  \
  }                                                                                                    \
  KERNEL(name##Backward) {                                                                             \
    const BinaryBackward* p = arguments;                                                               \
    const float *as = FLOATS(p->a), *bs = FLOATS(p->b), *dys = FLOATS(p->dy);                          \
    const int width = p->n[3], stepA = p->strideA[3], stepB = p->strideB[3];                           \
    const int size = p->n[0] * p->n[1] * p->n[2] * width;                                              \
    const int lengthA = lengthOf(p->n, p->strideA), lengthB = lengthOf(p->n, p->strideB);              \
    const int repeatedA = lengthA != size, repeatedB = lengthB != size;                                \
    const int pitch = (repeatedA ? lengthA : 0) + (repeatedB ? lengthB : 0);                           \
    const int share = shareOf(size, width, pitch);                                                     \
    const int addA = p->accumulate & 1, addB = p->accumulate >> 1 & 1;                                 \
    float *da = FLOATS(p->da), *db = FLOATS(p->db), *scratch = FLOATS(p->scratch);                     \
    float* const copyB = scratch + (repeatedA ? lengthA : 0);                                          \
    if (p->pass == 1) {                                                                                \
      const int copies = (size + share - 1) / share, blocksA = (lengthA + 4095) / 4096;                \
      if (da && repeatedA)                                                                             \
        sumCopies(da, scratch, lengthA, copies, pitch, addA, MIN(begin, blocksA), MIN(end, blocksA));  \
      if (db && repeatedB)                                                                             \
        sumCopies(db, copyB, lengthB, copies, pitch, addB, MAX(begin - blocksA, 0), MAX(end - blocksA, 0)); \
      return;                                                                                          \
    }                                                                                                  \
    for (int task = begin; task < end; task++) {                                                       \
      const long mine = (long)task * pitch;                                                            \
      const Target toA = {repeatedA && da ? scratch + mine : da, repeatedA, repeatedA || addA};        \
      const Target toB = {repeatedB && db ? copyB + mine : db, repeatedB, repeatedB || addB};          \
      for (int i = 0; i < pitch; i++) scratch[mine + i] = 0;                                           \
      const int last = MIN((task + 1) * share, size);                                                  \
      for (int at = task * share; at < last;) {                                                        \
        const int row = at / width, column = at % width, count = MIN(width - column, last - at);       \
        const int startA = rowStart(p->n, p->strideA, row) + column * stepA;                           \
        const int startB = rowStart(p->n, p->strideB, row) + column * stepB;                           \
        vf sumA = splat(0.0f), sumB = splat(0.0f);                                                     \
        for (int j = 0; j < count; j += LANES) {                                                       \
          const int n = count - j;                                                                     \
          const vf a = operand(as + startA, stepA, j, n), b = operand(bs + startB, stepB, j, n);       \
          const vf dy = loadUpTo(dys + at + j, n);                                                     \
          writeGradient(toA, startA, stepA, j, n, gradientA, &sumA);                                   \
          writeGradient(toB, startB, stepB, j, n, gradientB, &sumB);                                   \
        }                                                                                              \
        if (toA.to && repeatedA && !stepA) toA.to[startA] += sumLanes(sumA);                           \
        if (toB.to && repeatedB && !stepB) toB.to[startB] += sumLanes(sumB);                           \
        at += count;                                                                                   \
      }                                                                                                \
    }                                                                                                  \
  }

BINARY(add, a + b, dy, dy)
BINARY(sub, a - b, dy, -dy)
BINARY(mul, a * b, dy * b, dy * a)
BINARY(div, a / b, dy / b, -(dy * (a / b / b)))

ELEMENTWISE(scale, u * p->c, dy * p->c)
ELEMENTWISE(addScalar, u + p->c, dy)
