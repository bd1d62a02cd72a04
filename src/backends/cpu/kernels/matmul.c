// C = A B, or C += A B. Every element of C is one chain of fma over inner = 0, 1, 2, ... that starts from 0 (or from
// the old C): blocks of inner keep the chain in C. So no bit depends on blocks, tasks, or how many rows there are.
//
// A task owns a block of C, `rowBlock` by `columnBlock`, and repacks what it reads into scratch of its thread:
// per `innerBlock` of inner the rows of A once (L2), then the columns of B, a panel at a time (L1). A transpose is a
// way of packing. Registers hold a tile of tileRows x 2 vectors of C. Few rows of a B that is not transposed are a
// matter of reading B once, as it lies: see thinProduct.
#include "kernel.h"

enum {
  tileRows = VB == 64 ? 12 : VB == 32 ? 6 : 4,  // V8 has 15 vector registers: 4 x 2 accumulators
  tileColumns = 2 * LANES,
  innerBlock = 256,
  mostRows = 96,      // of a block
  mostColumns = 256,
  rowPitch = innerBlock + 16,  // of packed rows of A: no two rows of a tile in the same L1 set
  packedA = (mostRows / tileRows + 1) * innerBlock * MAX(LANES, tileRows) * 2,
  packedB = (innerBlock + LANES) * tileColumns,
  scratchFloats = packedA + packedB + tileRows * tileColumns,
  thinRows = 16,
  thinColumns = 1024,
  thinInner = 32,
};

// transposeA: A lies as (inner, rows). transposeB: B lies as (columns, inner).
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

// A vector at p whose lanes past `end` nobody uses.
INLINE vf loadBefore(const float* p, const float* end) {
  return end - p >= LANES ? load(p) : loadPart(p, end > p ? (int)(end - p) : 0);
}

// ---- A tile: R rows by V vectors of C, n steps of inner.

INLINE void tile(const int R, const int V, const int pitch, const int step, int n, const float* a, const float* b,
                 float* c, int ldc, int fresh) {
  vf acc[tileRows][2];
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++)
    acc[i][v] = fresh ? splat(0.0f) : load(c + (int64_t)i * ldc + v * LANES);
  for (int k = 0; k < n; k++, a += step, b += V * LANES) {
    vf row[2];
    UNROLL for (int v = 0; v < V; v++) row[v] = load(b + v * LANES);
    UNROLL for (int i = 0; i < R; i++) {
      const vf x = splat(a[i * pitch]);
      UNROLL for (int v = 0; v < V; v++) acc[i][v] = fma_(x, row[v], acc[i][v]);
    }
  }
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++)
    store(c + (int64_t)i * ldc + v * LANES, acc[i][v]);
}

#define TILE_CASE(R) \
  case R: tile(R, V, pitch, step, n, a, b, c, ldc, fresh); break;
#define TILES(name, V_, pitch_, step_)                                                                          \
  static __attribute__((noinline)) void FN(name)(int R, int n, const float* a, const float* b, float* c, int ldc, \
                                                 int fresh) {                                                   \
    enum { V = V_, pitch = pitch_, step = step_ };                                                              \
    switch (R) {                                                                                                \
      TILE_CASE(1) TILE_CASE(2) TILE_CASE(3) TILE_CASE(4) TILE_CASES_6 TILE_CASES_12                            \
    }                                                                                                           \
  }
#if VB >= 32
#define TILE_CASES_6 TILE_CASE(5) TILE_CASE(6)
#else
#define TILE_CASES_6
#endif
#if VB == 64
#define TILE_CASES_12 TILE_CASE(7) TILE_CASE(8) TILE_CASE(9) TILE_CASE(10) TILE_CASE(11) TILE_CASE(12)
#else
#define TILE_CASES_12
#endif
TILES(tileRows1, 1, rowPitch, 1)
TILES(tileRows2, 2, rowPitch, 1)
TILES(tileColumns1, 1, 1, LANES)
TILES(tileColumns2, 2, 1, LANES)

// ---- Packing.

// The even turns of zip: new[2i] = low halves of x[i] and x[i + LANES / 2] interleaved, new[2i + 1] = high halves.
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

// A perfect shuffle of all rows, repeated log2(LANES) times, transposes them.
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

// b[k][V vectors]: columns j ≤ x < j + n of B. Lanes past n hold anything.
static void packColumns(const Product* p, const float* B, Span k, int j, int n, int V, float* b) {
  const float* end = B + (int64_t)p->inner * p->columns;
  const int width = V * LANES;
  if (!p->transposeB) {
    const float* from = B + (int64_t)k.from * p->columns + j;
    for (int x = k.from; x < k.to; x++, from += p->columns, b += width) {
      for (int v = 0; v < V; v++) store(b + v * LANES, loadBefore(from + v * LANES, end));
    }
    return;
  }
  for (int v = 0; v < V; v++) {
    for (int x = k.from; x < k.to; x += LANES) {
      vf rows[LANES];
      UNROLL for (int i = 0; i < LANES; i++) {
        const int column = j + MIN(v * LANES + i, n - 1);
        rows[i] = loadBefore(B + (int64_t)column * p->inner + x, end);
      }
      transpose(rows);
      UNROLL for (int i = 0; i < LANES; i++) store(b + (x - k.from + i) * width + v * LANES, rows[i]);
    }
  }
}

// Rows i of A as they lie, `rowPitch` apart; or, if A is transposed, panels of [k][LANES] for each tile.
static void packRows(const Product* p, const float* A, Span k, Span i, int panels, float* a) {
  const float* end = A + (int64_t)p->rows * p->inner;
  const int n = i.to - i.from;
  if (!p->transposeA) {
    for (int y = 0; y < n; y++) {
      const float* from = A + (int64_t)(i.from + y) * p->inner + k.from;
      float* to = a + y * rowPitch;
      for (int x = 0; x < k.to - k.from; x += LANES) store(to + x, loadBefore(from + x, end));
    }
    return;
  }
  for (int panel = 0; panel < panels; panel++, a += innerBlock * LANES) {
    const float* from = A + (int64_t)k.from * p->rows + i.from + part(n, panels, panel).from;
    for (int x = 0; x < k.to - k.from; x++, from += p->rows) store(a + x * LANES, loadBefore(from, end));
  }
}

// ---- A block of C.

static void block(const Product* p, int batch, Span i, Span j, float* scratch) {
  const float* A = p->A + (int64_t)batch * p->rows * p->inner;
  const float* B = p->B + (int64_t)batch * p->inner * p->columns;
  float* C = p->C + (int64_t)batch * p->rows * p->columns;
  float *a = scratch, *b = scratch + packedA, *edge = b + packedB;
  const int rows = i.to - i.from, panels = ceilDiv(rows, tileRows), innerBlocks = ceilDiv(p->inner, innerBlock);
  for (int block = 0; block < innerBlocks; block++) {
    const Span k = part(p->inner, innerBlocks, block);
    const int fresh = block == 0 && !p->accumulate, steps = k.to - k.from;
    packRows(p, A, k, i, panels, a);
    for (int x = j.from; x < j.to; x += tileColumns) {
      const int n = MIN(tileColumns, j.to - x), V = n > LANES ? 2 : 1, whole = n == V * LANES;
      packColumns(p, B, k, x, n, V, b);
      for (int panel = 0; panel < panels; panel++) {
        const Span r = part(rows, panels, panel);
        const int R = r.to - r.from;
        float* c = C + (int64_t)(i.from + r.from) * p->columns + x;
        float* to = whole ? c : edge;
        const int ldc = whole ? p->columns : tileColumns;
        if (!whole && !fresh) {
          for (int y = 0; y < R; y++) for (int z = 0; z < n; z++) edge[y * tileColumns + z] = c[(int64_t)y * p->columns + z];
        }
        if (p->transposeA) {
          const float* from = a + panel * innerBlock * LANES;
          if (V == 2) FN(tileColumns2)(R, steps, from, b, to, ldc, fresh);
          else FN(tileColumns1)(R, steps, from, b, to, ldc, fresh);
        } else {
          const float* from = a + r.from * rowPitch;
          if (V == 2) FN(tileRows2)(R, steps, from, b, to, ldc, fresh);
          else FN(tileRows1)(R, steps, from, b, to, ldc, fresh);
        }
        if (!whole) {
          for (int y = 0; y < R; y++) for (int z = 0; z < n; z++) c[(int64_t)y * p->columns + z] = edge[y * tileColumns + z];
        }
      }
    }
  }
}

// ---- Few rows.

// y[r] += Σ x[r][u] b[u] for R rows and U steps of inner, over n columns.
INLINE void sweep(const int R, const int U, const float* A, int pitch, int step, const float* b, int64_t ldb, float* y,
                  int64_t ldy, int n) {
  vf x[4][8];
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int u = 0; u < U; u++)
    x[r][u] = splat(A[(int64_t)r * pitch + (int64_t)u * step]);
  int j = 0;
  for (; j + LANES <= n; j += LANES) {
    vf sum[4];
    UNROLL for (int r = 0; r < R; r++) sum[r] = load(y + r * ldy + j);
    UNROLL for (int u = 0; u < U; u++) {
      const vf v = load(b + u * ldb + j);
      UNROLL for (int r = 0; r < R; r++) sum[r] = fma_(x[r][u], v, sum[r]);
    }
    UNROLL for (int r = 0; r < R; r++) store(y + r * ldy + j, sum[r]);
  }
  if (j == n) return;
  UNROLL for (int r = 0; r < R; r++) {
    vf sum = loadPart(y + r * ldy + j, n - j);
    UNROLL for (int u = 0; u < U; u++) sum = fma_(x[r][u], loadPart(b + u * ldb + j, n - j), sum);
    storePart(y + r * ldy + j, sum, n - j);
  }
}

#define SWEEP(name, R, U)                                                                                        \
  static __attribute__((noinline)) void FN(name)(int steps, const float* A, int pitch, int step, const float* b, \
                                                 int64_t ldb, float* y, int64_t ldy, int n) {                    \
    int k = 0;                                                                                                   \
    for (; k + U <= steps; k += U) sweep(R, U, A + (int64_t)k * step, pitch, step, b + k * ldb, ldb, y, ldy, n);  \
    for (; k < steps; k++) sweep(R, 1, A + (int64_t)k * step, pitch, step, b + k * ldb, ldb, y, ldy, n);         \
  }
SWEEP(sweep1, 1, 8)
SWEEP(sweep2, 2, 4)
SWEEP(sweep3, 3, 2)
SWEEP(sweep4, 4, 2)

// The columns j of C, four rows at a time: for a block of inner so short that B stays in the cache for all rows.
static void thinBlock(const Product* p, int batch, Span j) {
  const float* A = p->A + (int64_t)batch * p->rows * p->inner;
  const float* B = p->B + (int64_t)batch * p->inner * p->columns + j.from;
  float* C = p->C + (int64_t)batch * p->rows * p->columns + j.from;
  const int n = j.to - j.from, pitch = p->transposeA ? 1 : p->inner, step = p->transposeA ? p->rows : 1;
  if (!p->accumulate) {
    for (int r = 0; r < p->rows; r++) for (int x = 0; x < n; x++) C[(int64_t)r * p->columns + x] = 0.0f;
  }
  const int steps = p->rows <= 4 ? p->inner : thinInner;
  for (int k = 0; k < p->inner; k += steps) {
    const int most = MIN(steps, p->inner - k);
    for (int r = 0; r < p->rows; r += 4) {
      const float *a = A + (int64_t)r * pitch + (int64_t)k * step, *b = B + (int64_t)k * p->columns;
      float* c = C + (int64_t)r * p->columns;
      switch (p->rows - r) {
        case 1: FN(sweep1)(most, a, pitch, step, b, p->columns, c, p->columns, n); break;
        case 2: FN(sweep2)(most, a, pitch, step, b, p->columns, c, p->columns, n); break;
        case 3: FN(sweep3)(most, a, pitch, step, b, p->columns, c, p->columns, n); break;
        default: FN(sweep4)(most, a, pitch, step, b, p->columns, c, p->columns, n);
      }
    }
  }
}

// ---- Tasks: the blocks of C, rows fastest, then columns, then batch. `gridOf` in matmul.ts says the same.

typedef struct {
  int thin, unit, rowBlocks, columnBlocks;
} Grid;

static Grid gridOf(const Product* p) {
  if (p->rows <= thinRows && !p->transposeB) {
    return (Grid){1, LANES, 1, MIN(ceilDiv(p->columns, 64), MAX(ceilDiv(p->columns, thinColumns), 8))};
  }
  int columnBlocks = ceilDiv(p->columns, mostColumns);
  int rowBlocks = ceilDiv(16, p->batch * columnBlocks);
  rowBlocks = MIN(MAX(rowBlocks, ceilDiv(p->rows, mostRows)), ceilDiv(p->rows, 24));
  if (p->batch * rowBlocks * columnBlocks < 8) {
    columnBlocks = MIN(ceilDiv(p->columns, 64), ceilDiv(8, p->batch * rowBlocks));
  }
  return (Grid){0, tileColumns, rowBlocks, columnBlocks};
}

INLINE int tasksOf(const Product* p) {
  const Grid grid = gridOf(p);
  return p->batch * grid.rowBlocks * grid.columnBlocks;
}

static void multiply(const Product* p, int begin, int end, float* scratch) {
  if (!p->C) return;
  const Grid grid = gridOf(p);
  for (int task = begin; task < end; task++) {
    const int rowBlock = task % grid.rowBlocks, rest = task / grid.rowBlocks;
    const int columnBlock = rest % grid.columnBlocks, batch = rest / grid.columnBlocks;
    const Span units = part(ceilDiv(p->columns, grid.unit), grid.columnBlocks, columnBlock);
    const Span j = {units.from * grid.unit, MIN(p->columns, units.to * grid.unit)};
    if (grid.thin) thinBlock(p, batch, j);
    else block(p, batch, part(p->rows, grid.rowBlocks, rowBlock), j, scratch);
  }
}

typedef struct {
  ref a, b, y, scratch;
  int32_t pass, batch, rows, inner, columns, transposeA, transposeB;
} MatmulForward;

KERNEL(matmulForward) {
  const MatmulForward* m = arguments;
  const Product y = {FLOATS(m->a), FLOATS(m->b), FLOATS(m->y), m->batch, m->rows, m->inner, m->columns, m->transposeA, m->transposeB, 0};
  multiply(&y, begin, end, FLOATS(m->scratch) + (int64_t)thread * scratchFloats);
}

typedef struct {
  ref a, b, y, dy, da, db;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, batch, rows, inner, columns, transposeA, transposeB;
} MatmulBackward;

// da = dy bᵀ and db = aᵀ dy, or their transposes, as two products whose tasks follow each other.
KERNEL(matmulBackward) {
  const MatmulBackward* m = arguments;
  const float *a = FLOATS(m->a), *b = FLOATS(m->b), *dy = FLOATS(m->dy);
  float *da = FLOATS(m->da), *db = FLOATS(m->db), *scratch = FLOATS(m->scratch) + (int64_t)thread * scratchFloats;
  const int addA = m->accumulate & 1, addB = m->accumulate >> 1 & 1;
  const Product forA = m->transposeA
    ? (Product){b, dy, da, m->batch, m->inner, m->columns, m->rows, m->transposeB, 1, addA}
    : (Product){dy, b, da, m->batch, m->rows, m->columns, m->inner, 0, !m->transposeB, addA};
  const Product forB = m->transposeB
    ? (Product){dy, a, db, m->batch, m->columns, m->rows, m->inner, 1, m->transposeA, addB}
    : (Product){a, dy, db, m->batch, m->inner, m->rows, m->columns, !m->transposeA, 0, addB};
  const int first = tasksOf(&forA);
  multiply(&forA, MIN(begin, first), MIN(end, first), scratch);
  multiply(&forB, MAX(begin - first, 0), MAX(end - first, 0), scratch);
}
