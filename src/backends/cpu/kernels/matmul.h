// What the parts of matmul.c share: a product and how it is cut.
#pragma once
#include "kernel.h"

enum {
  tileRows = VB == 64 ? 12 : VB == 32 ? 6 : 4,  // V8 has 15 vector registers: 4 x 2 accumulators
  tileColumns = 2 * LANES,
  innerBlock = 256,  // steps of a tile: its panel of B stays in L1
  outerBlock = 512,  // steps between two visits of a tile, and at most of a chunk: the rows of A stay in L2
  mostRows = 96,     // of a block of C
  mostColumns = 512,
  packedPitch = mostRows + 16,
  edgeFloats = mostRows * tileColumns,
  packParts = 4,          // of the panels of a unit, packed by different threads
  chunkFloats = 1 << 20,  // of packed panels
  threadFloats = outerBlock * packedPitch + edgeFloats + (innerBlock + LANES) * tileColumns,
};

// C = A B, or C += A B, `batch` times; A (rows, inner), B (inner, columns). A transposed factor lies with its axes
// swapped.
typedef struct {
  const float *A, *B;
  float* C;
  int batch, rows, inner, columns, transposeA, transposeB, accumulate;
} Product;

typedef struct {
  int from, to;
} Span;

// The i-th of `parts` nearly equal parts of 0 ≤ x < n.
INLINE Span part(int n, int parts, int i) {
  return (Span){(int)((int64_t)n * i / parts), (int)((int64_t)n * (i + 1) / parts)};
}

INLINE int ceilDiv(int a, int b) { return (a + b - 1) / b; }

// A vector at p of which nobody uses the lanes past `end`.
INLINE vf loadBefore(const float* p, const float* end) {
  return end - p >= LANES ? load(p) : loadPart(p, end > p ? (int)(end - p) : 0);
}
