// What attention and its backward share. Both are chains of small products of blocks that lie packed in the caches of
// the thread: rows of ATTENTION_ROWS queries (or keys) meet ATTENTION_BLOCK keys (or queries) at a time, in the tiles of
// matmul. Scores are kept times log2 e, so that exponentials are powers of 2.
#pragma once
#include "matmulTiles.h"
#include "rows.h"
#include "vectorMath.h"

// Also in attention.ts. Blocks begin at multiples of ATTENTION_BLOCK of the keys, whatever queries meet them: so no bit
// depends on how the queries are cut.
enum { ATTENTION_ROWS = 96, ATTENTION_BLOCK = 64 };

typedef struct {
  ref q, k, v, position, y, logSum;
} AttentionRefs;

typedef struct {
  int32_t pass, batch, length, keys, heads, kvHeads, headDim;
  float scale;
} AttentionSizes;

// `start`: position of the first query. width: headDim up to a multiple of 16, the pitch of packed rows.
typedef struct {
  const float *q, *k, *v;
  float *y, *logSum;
  int length, keys, heads, kvHeads, headDim, width, start;
  float scale;
} Attention;

INLINE Attention openAttention(char* base, const AttentionRefs* r, const AttentionSizes* s) {
  const int start = r->position ? *INTS(r->position) : s->keys - s->length;
  return (Attention){FLOATS(r->q), FLOATS(r->k), FLOATS(r->v),  FLOATS(r->y), FLOATS(r->logSum),
                     s->length,    s->keys,      s->heads,      s->kvHeads,   s->headDim,
                     (s->headDim + 15) & ~15,    start,         s->scale};
}

// Where row i of head h of sequence b lies, in q and y, and in k and v (there h is one of kvHeads).
INLINE int64_t queryAt(const Attention* a, int b, int h, int i) {
  return (((int64_t)b * a->length + i) * a->heads + h) * a->headDim;
}
INLINE int64_t keyAt(const Attention* a, int b, int h, int j) {
  return (((int64_t)b * a->keys + j) * a->kvHeads + h) * a->headDim;
}
INLINE int queryPitch(const Attention* a) { return a->heads * a->headDim; }
INLINE int keyPitch(const Attention* a) { return a->kvHeads * a->headDim; }

// A row of the next block: rows of a head are far apart, and no prefetcher guesses the next one.
INLINE void prefetchRow(const Attention* a, const float* row) {
  for (int d = 0; d < a->headDim; d += 16) __builtin_prefetch(row + d);
}

// n rows times a factor, `width` apart; lanes past headDim are 0.
static void packBlock(const Attention* a, const float* from, int pitch, int n, float factor, float* to) {
  for (int i = 0; i < n; i++, from += pitch, to += a->width) {
    prefetchRow(a, from + (int64_t)ATTENTION_BLOCK * pitch);
    for (int d = 0; d < a->headDim; d += LANES) store(to + d, loadUpTo(from + d, a->headDim - d) * splat(factor));
  }
}

// n rows as columns: headDim rows of ATTENTION_BLOCK. Columns past n hold anything.
static void packColumnBlock(const Attention* a, const float* from, int pitch, int n, float* to) {
  for (int i = 0; i < n; i += LANES) {
    for (int r = 0; r < LANES; r++) prefetchRow(a, from + (int64_t)(i + r + ATTENTION_BLOCK) * pitch);
    for (int d = 0; d < a->headDim; d += LANES) {
      const int lanes = MIN(LANES, a->headDim - d);
      vf x[LANES];
      UNROLL for (int r = 0; r < LANES; r++) x[r] = loadUpTo(from + (int64_t)MIN(i + r, n - 1) * pitch + d, lanes);
      transpose(x);
      for (int r = 0; r < lanes; r++) store(to + (d + r) * ATTENTION_BLOCK + i, x[r]);
    }
  }
}

INLINE int upTo(int n, int to) { return (n + to - 1) / to * to; }

// C = A B or C += A B: `columns` in whole vectors.
static void multiplyBlock(int rows, int columns, int steps, const float* A, int pitchA, const float* B, int pitchB,
                          float* C, int pitchC, int fresh) {
  if (rows <= 0) return;
  Stack s = {.rows = rows, .panels = ceilDiv(rows, tileRows), .steps = steps, .fresh = fresh, .a = A,
             .strideA = pitchA, .stepB = pitchB, .pitchC = pitchC};
  for (int x = 0; x < columns; x += tileColumns) {
    s.b = B + x;
    s.c = C + x;
    columns - x > LANES ? FN(stackRows2)(&s) : FN(stackRows1)(&s);
  }
}

// C = A Bᵀ: the scores of rows and packed columns, all of them.
INLINE void multiplyScores(const Attention* a, int rows, int n, const float* A, const float* columns, float* C) {
  multiplyBlock(rows, upTo(n, LANES), a->headDim, A, a->width, columns, ATTENTION_BLOCK, C, ATTENTION_BLOCK, 1);
}

INLINE void addProduct(const Attention* a, int rows, int steps, const float* A, const float* B, float* C) {
  multiplyBlock(rows, upTo(a->headDim, LANES), steps, A, ATTENTION_BLOCK, B, a->width, C, a->width, 0);
}

// C += A B where of A, row i takes part in steps 0 ≤ k < first + i alone (and below n): what a query does not see is
// not multiplied by 0, since it may be NaN.
static void addSeen(const Attention* a, int rows, int first, int n, const float* A, const float* B, float* C) {
  const int some = MIN(rows, MAX(0, n - first));  // rows that do not see all n
  for (int i = 0; i < some; i += tileRows) {
    const int tile = MIN(tileRows, some - i), steps = first + i;
    addProduct(a, tile, steps, A + i * ATTENTION_BLOCK, B, C + i * a->width);
    for (int r = 1; r < tile; r++) {
      const int at = (i + r) * ATTENTION_BLOCK + steps;
      addProduct(a, 1, r, A + at, B + steps * a->width, C + (i + r) * a->width);
    }
  }
  addProduct(a, rows - some, n, A + some * ATTENTION_BLOCK, B, C + some * a->width);
}

// The same where row j takes part from step first + j on: a key, in the queries that see it.
static void addSeeing(const Attention* a, int rows, int first, int n, const float* A, const float* B, float* C) {
  int j = MIN(rows, MAX(0, -first));  // rows before take part in all n
  addProduct(a, j, n, A, B, C);
  for (; j < rows; j += tileRows) {
    const int tile = MIN(tileRows, rows - j), last = MIN(first + j + tile - 1, n);
    for (int r = 0; r + 1 < tile && first + j + r < n; r++) {
      const int from = first + j + r;
      addProduct(a, 1, last - from, A + (j + r) * ATTENTION_BLOCK + from, B + from * a->width, C + (j + r) * a->width);
    }
    addProduct(a, tile, n - last, A + j * ATTENTION_BLOCK + last, B + last * a->width, C + j * a->width);
  }
}
