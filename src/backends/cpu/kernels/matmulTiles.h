// Blocks of C, in tiles that stay in registers.
#pragma once
#include "matmul.h"

// A tile: R rows by V vectors of C, n steps of inner. `fresh` starts from 0 instead of from C.
INLINE void tile(const int R, const int V, int64_t pitch, int64_t step, int n, const float* a, const float* b,
                 int64_t stepB, float* c, int64_t pitchC, int fresh) {
  vf sum[tileRows][2];
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) {
    sum[i][v] = fresh ? splat(0.0f) : load(c + i * pitchC + v * LANES);
  }
  for (int k = 0; k < n; k++, a += step, b += stepB) {
    vf row[2];
    UNROLL for (int v = 0; v < V; v++) row[v] = load(b + v * LANES);
    UNROLL for (int i = 0; i < R; i++) {
      const vf x = splat(a[i * pitch]);
      UNROLL for (int v = 0; v < V; v++) sum[i][v] = fma_(x, row[v], sum[i][v]);
    }
  }
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) store(c + i * pitchC + v * LANES, sum[i][v]);
}

// The tiles under each other on one panel of B: `panels` nearly equal parts of `rows`.
typedef struct {
  int rows, panels, steps, fresh;
  const float *a, *b;
  float* c;
  int64_t strideA, stepB, pitchC;
} Stack;

#define TILE(R) case R: tile(R, V, pitch, step, s->steps, a, s->b, s->stepB, c, s->pitchC, s->fresh); break;
#if VB == 64
#define TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#elif VB == 32
#define TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#else
#define TILES TILE(1) TILE(2) TILE(3) TILE(4)
#endif

// Of V vectors a row. In A, rows lie pitch_ apart and steps step_.
#define STACK(name, V_, pitch_, step_)                                  \
  static __attribute__((noinline)) void FN(name)(const Stack* s) {      \
    enum { V = V_ };                                                    \
    const int64_t strideA = s->strideA, pitch = pitch_, step = step_;   \
    const int least = s->rows / s->panels, more = s->rows % s->panels;  \
    const float* a = s->a;                                              \
    float* c = s->c;                                                    \
    for (int panel = 0; panel < s->panels; panel++) {                   \
      const int R = least + (panel < more);                             \
      switch (R) { TILES }                                              \
      a += R * pitch;                                                   \
      c += R * s->pitchC;                                               \
    }                                                                   \
  }
STACK(stackRows1, 1, strideA, 1)
STACK(stackRows2, 2, strideA, 1)
STACK(stackSteps1, 1, 1, strideA)
STACK(stackSteps2, 2, 1, strideA)

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif
#if VB == 64
#define ZIP_LOW(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define ZIP_HIGH(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif VB == 32
#define ZIP_LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_HIGH(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define ZIP_LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define ZIP_HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#endif

// The LANES x LANES matrix x, transposed: as often as its size can be halved, the first half of the rows is zipped
// with the second.
INLINE void transpose(vf x[LANES]) {
  UNROLL for (int width = 1; width < LANES; width *= 2) {
    vf y[LANES];
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      y[2 * i] = ZIP_LOW(x[i], x[i + LANES / 2]);
      y[2 * i + 1] = ZIP_HIGH(x[i], x[i + LANES / 2]);
    }
    UNROLL for (int i = 0; i < LANES; i++) x[i] = y[i];
  }
}

// Steps k of the columns j of B, into panels of [step][tileColumns] that lie panelFloats apart. Lanes past j hold
// anything.
static void packColumns(const Product* p, const float* B, Span k, Span j, float* to, int64_t panelFloats) {
  const float* end = B + (int64_t)p->inner * p->columns;
  const int vectors = ceilDiv(j.to - j.from, LANES);
  if (!p->transposeB) {
    const int64_t pitch = p->columns;
    for (int x = k.from; x < k.to; x++, to += tileColumns) {
      const float* from = B + x * pitch + j.from;
      for (int y = 0; y < j.to - j.from; y += 16) __builtin_prefetch(from + 4 * pitch + y);
      for (int v = 0; v < vectors; v++) {
        store(to + (v >> 1) * panelFloats + (v & 1) * LANES, loadBefore(from + v * LANES, end));
      }
    }
    return;
  }
  const int64_t pitch = p->inner;
  for (int v = 0; v < vectors; v++) {
    const int first = j.from + v * LANES, last = j.to - 1;
    float* panel = to + (v >> 1) * panelFloats + (v & 1) * LANES;
    for (int x = k.from; x < k.to; x += LANES) {
      vf rows[LANES];
      UNROLL for (int i = 0; i < LANES; i++) rows[i] = loadBefore(B + MIN(first + i, last) * pitch + x, end);
      transpose(rows);
      for (int i = 0; i < MIN(LANES, k.to - x); i++, panel += tileColumns) store(panel, rows[i]);
    }
  }
}

// Steps k of the rows i of a transposed A, `packedPitch` apart: as they lie, their distance may be such that all steps
// fall into the same few sets of the caches.
static void packRows(const Product* p, const float* A, Span k, Span i, float* to) {
  const float* end = A + (int64_t)p->rows * p->inner;
  const int n = i.to - i.from;
  const int64_t pitch = p->rows;
  for (int x = k.from; x < k.to; x++, to += packedPitch) {
    const float* from = A + x * pitch + i.from;
    for (int y = 0; y < n; y += 16) __builtin_prefetch(from + 4 * pitch + y);
    for (int y = 0; y < n; y += LANES) store(to + y, loadBefore(from + y, end));
  }
}

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef float two __attribute__((vector_size(8), aligned(4), may_alias));

static void copyRows(float* to, int64_t pitchTo, const float* from, int64_t pitchFrom, int rows, int columns) {
  for (int y = 0; y < rows; y++, to += pitchTo, from += pitchFrom) {
    int x = 0;
    for (; x + 4 <= columns; x += 4) *(four*)(to + x) = *(const four*)(from + x);
    if (columns & 2) *(two*)(to + x) = *(const two*)(from + x), x += 2;
    if (columns & 1) to[x] = from[x];
  }
}

// Rows i and columns j of C, through the steps `all` of inner, from the packed panels of these columns and steps of B,
// or (panels = 0) from B as it lies.
static void block(const Product* p, int batch, Span i, Span j, Span all, const float* panels, float* scratch) {
  const float* A = p->A + (int64_t)batch * p->rows * p->inner;
  const float* B = p->B + (int64_t)batch * p->inner * p->columns;
  float* C = p->C + ((int64_t)batch * p->rows + i.from) * p->columns;
  float *edge = scratch + outerBlock * packedPitch, *lastPanel = edge + edgeFloats;
  const int rows = i.to - i.from, packed = p->transposeA && p->rows >= 256;
  const int outerBlocks = panels ? 1 : ceilDiv(all.to - all.from, innerBlock);
  Stack s = {.rows = rows, .panels = ceilDiv(rows, tileRows)};
  for (int outer = 0; outer < outerBlocks; outer++) {
    const Span steps = part(all.to - all.from, outerBlocks, outer), K = {all.from + steps.from, all.from + steps.to};
    const int innerBlocks = ceilDiv(K.to - K.from, innerBlock);
    if (packed) packRows(p, A, K, i, scratch);
    for (int x = j.from; x < j.to; x += tileColumns) {
      const int n = MIN(tileColumns, j.to - x), whole = n % LANES == 0, asItLies = !panels && n == tileColumns;
      s.c = whole ? C + x : edge;
      s.pitchC = whole ? p->columns : tileColumns;
      s.stepB = asItLies ? p->columns : tileColumns;
      if (!whole && (K.from > 0 || p->accumulate)) copyRows(edge, tileColumns, C + x, p->columns, rows, n);
      for (int inner = 0; inner < innerBlocks; inner++) {
        const Span within = part(K.to - K.from, innerBlocks, inner), k = {K.from + within.from, K.from + within.to};
        s.steps = k.to - k.from;
        s.fresh = k.from == 0 && !p->accumulate;
        if (asItLies) s.b = B + (int64_t)k.from * p->columns + x;
        else if (panels) s.b = panels + (int64_t)(x - j.from) * (K.to - K.from) + (int64_t)within.from * tileColumns;
        else packColumns(p, B, k, (Span){x, j.to}, lastPanel, 0), s.b = lastPanel;
        if (!p->transposeA) s.a = A + (int64_t)i.from * p->inner + k.from, s.strideA = p->inner;
        else if (packed) s.a = scratch + within.from * packedPitch, s.strideA = packedPitch;
        else s.a = A + (int64_t)k.from * p->rows + i.from, s.strideA = p->rows;
        if (p->transposeA) n > LANES ? FN(stackSteps2)(&s) : FN(stackSteps1)(&s);
        else n > LANES ? FN(stackRows2)(&s) : FN(stackRows1)(&s);
      }
      if (!whole) copyRows(C + x, p->columns, edge, tileColumns, rows, n);
    }
  }
}
