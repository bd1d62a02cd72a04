// C = A B, or C += A B. Every element of C is one chain of fma over inner = 0, 1, 2, ... that starts from 0 (or from
// the old C); blocks of inner keep the chain in C. So no bit depends on blocks, tasks, or the number of rows.
//
// A task owns a block of C. Its tiles read A as it lies, and B from panels of tileColumns that a pass before packs for
// all tasks, transposed or not, a chunk of columns and of inner at a time. Small products read B as it lies as well, and a few rows
// are swept (matmulSweep.h).
#include "matmul.h"
#include "matmulSweep.h"
#include "matmulTiles.h"

enum { SWEEP_ROWS, AS_IT_LIES, PANELS };

// How a product is cut, which matmul.ts must know too. Columns come in units: `columnBlocks` of each matrix. A chunk is
// some units, over a part of inner: `innerChunks` chunks follow each other on the same units.
typedef struct {
  int kind, rowBlocks, columnBlocks;
  int unitsPerChunk, innerChunks;
  int64_t unitFloats;  // of packed panels
} Grid;

static Grid gridOf(const Product* p) {
  const int narrow = p->columns <= 512, small = p->columns <= 128 || (narrow && p->inner <= 1024);
  if (p->rows <= (narrow ? 4 : 8) && !p->transposeB) {
    const int most = p->columns > 8192 ? ceilDiv(p->columns, 2048) : p->columns > 2048 ? 4 : 2;
    const int columnBlocks = MIN(ceilDiv(p->columns, 64), most);
    return (Grid){SWEEP_ROWS, 1, columnBlocks, p->batch * columnBlocks, 1, 0};
  }
  int rowBlocks = ceilDiv(p->rows, mostRows), columnBlocks = ceilDiv(p->columns, mostColumns);
  if (p->rows <= (small ? 512 : 48) && !p->transposeB) {
    if (p->batch * rowBlocks * columnBlocks < 4) {
      columnBlocks = MIN(ceilDiv(p->columns, 64), ceilDiv(4, p->batch * rowBlocks));
    }
    if (p->batch * rowBlocks * columnBlocks < 4) {
      rowBlocks = MIN(ceilDiv(p->rows, 32), ceilDiv(4, p->batch * columnBlocks));
    }
    return (Grid){AS_IT_LIES, rowBlocks, columnBlocks, p->batch * columnBlocks, 1, 0};
  }
  const int units = p->batch * columnBlocks, innerChunks = ceilDiv(p->inner, outerBlock);
  const int longest = ceilDiv(p->inner, innerChunks);
  const int64_t unitFloats = (int64_t)ceilDiv(ceilDiv(p->columns, tileColumns), columnBlocks) * tileColumns * longest;
  const int unitsPerChunk = MIN(units, MAX(1, (int)(chunkFloats / unitFloats)));
  if (unitsPerChunk * rowBlocks < 8) rowBlocks = MIN(ceilDiv(p->rows, 24), ceilDiv(8, unitsPerChunk));
  return (Grid){PANELS, rowBlocks, columnBlocks, unitsPerChunk, innerChunks, unitFloats};
}

INLINE Span unitsOf(const Product* p, const Grid* grid, int chunk) {
  const int units = p->batch * grid->columnBlocks, from = chunk / grid->innerChunks * grid->unitsPerChunk;
  return (Span){MIN(units, from), MIN(units, from + grid->unitsPerChunk)};
}

INLINE Span innerOf(const Product* p, const Grid* grid, int chunk) {
  return part(p->inner, grid->innerChunks, chunk % grid->innerChunks);
}

INLINE Span columnsOf(const Product* p, const Grid* grid, int unit) {
  const Span panels = part(ceilDiv(p->columns, tileColumns), grid->columnBlocks, unit % grid->columnBlocks);
  return (Span){panels.from * tileColumns, MIN(p->columns, panels.to * tileColumns)};
}

INLINE int packTasks(const Product* p, const Grid* grid, int chunk) {
  const Span units = unitsOf(p, grid, chunk);
  return grid->kind == PANELS ? (units.to - units.from) * packParts : 0;
}

// Task: the panels of one unit, for a part of the chunk's inner.
static void packTask(const Product* p, const Grid* grid, int chunk, int task, float* panels) {
  const int slot = task / packParts, unit = unitsOf(p, grid, chunk).from + slot;
  const float* B = p->B + (int64_t)(unit / grid->columnBlocks) * p->inner * p->columns;
  const Span K = innerOf(p, grid, chunk), within = part(K.to - K.from, packParts, task % packParts);
  float* to = panels + slot * grid->unitFloats + (int64_t)within.from * tileColumns;
  const Span k = {K.from + within.from, K.from + within.to};
  packColumns(p, B, k, columnsOf(p, grid, unit), to, (int64_t)(K.to - K.from) * tileColumns);
}

INLINE int blockTasks(const Product* p, const Grid* grid, int chunk) {
  const Span units = unitsOf(p, grid, chunk);
  return (units.to - units.from) * grid->rowBlocks;
}

// Task: a block of C. Those next to each other share their columns.
static void blockTask(const Product* p, const Grid* grid, int chunk, int task, const float* panels, float* scratch) {
  const int slot = task / grid->rowBlocks, unit = unitsOf(p, grid, chunk).from + slot;
  const int batch = unit / grid->columnBlocks;
  const Span rows = part(p->rows, grid->rowBlocks, task % grid->rowBlocks), columns = columnsOf(p, grid, unit);
  if (grid->kind == SWEEP_ROWS) {
    sweepBlock(p, batch, columns);
  } else {
    const float* own = grid->kind == PANELS ? panels + slot * grid->unitFloats : 0;
    block(p, batch, rows, columns, innerOf(p, grid, chunk), own, scratch);
  }
}

// A pass over several products, whose tasks follow each other. Passes 2c and 2c + 1 pack and multiply chunk c; if no
// product needs panels there is but one pass. Scratch: the panels of each product, then what each thread needs.
static void runPass(const Product* products, int count, int pass, int begin, int end, float* scratch, int thread) {
  Grid grids[2];
  float* panels[2];
  int packs = 0;
  for (int i = 0; i < count; i++) {
    grids[i] = gridOf(&products[i]);
    packs |= grids[i].kind == PANELS;
    panels[i] = scratch;
    scratch += grids[i].unitsPerChunk * grids[i].unitFloats;
  }
  scratch += (int64_t)thread * threadFloats;
  const int chunk = packs ? pass / 2 : 0, packing = packs && pass % 2 == 0;
  for (int i = 0, first = 0; i < count; i++) {
    const Product* p = &products[i];
    const int tasks = packing ? packTasks(p, &grids[i], chunk) : blockTasks(p, &grids[i], chunk);
    for (int task = MAX(begin - first, 0); p->C && task < MIN(end - first, tasks); task++) {
      if (packing) packTask(p, &grids[i], chunk, task, panels[i]);
      else blockTask(p, &grids[i], chunk, task, panels[i], scratch);
    }
    first += tasks;
  }
}

typedef struct {
  ref a, b, y, scratch;
  int32_t pass, batch, rows, inner, columns, transposeA, transposeB;
} MatmulForward;

KERNEL(matmulForward) {
  const MatmulForward* m = arguments;
  const Product y = {FLOATS(m->a), FLOATS(m->b), FLOATS(m->y), m->batch, m->rows, m->inner, m->columns,
                     m->transposeA, m->transposeB, 0};
  runPass(&y, 1, m->pass, begin, end, FLOATS(m->scratch), thread);
}

typedef struct {
  ref a, b, y, dy, da, db;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, batch, rows, inner, columns, transposeA, transposeB;
} MatmulBackward;

// da = dy bᵀ and db = aᵀ dy, or their transposes.
KERNEL(matmulBackward) {
  const MatmulBackward* m = arguments;
  const int batch = m->batch, rows = m->rows, inner = m->inner, columns = m->columns;
  const int transposeA = m->transposeA, transposeB = m->transposeB;
  const int addA = m->accumulate & 1, addB = m->accumulate >> 1 & 1;
  const float *a = FLOATS(m->a), *b = FLOATS(m->b), *dy = FLOATS(m->dy);
  float *da = FLOATS(m->da), *db = FLOATS(m->db);
  const Product products[2] = {
      transposeA ? (Product){b, dy, da, batch, inner, columns, rows, transposeB, 1, addA}
                 : (Product){dy, b, da, batch, rows, columns, inner, 0, !transposeB, addA},
      transposeB ? (Product){dy, a, db, batch, columns, rows, inner, 1, transposeA, addB}
                 : (Product){a, dy, db, batch, inner, rows, columns, !transposeA, 0, addB},
  };
  runPass(products, 2, m->pass, begin, end, FLOATS(m->scratch), thread);
}
