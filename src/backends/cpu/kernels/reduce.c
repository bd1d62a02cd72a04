// Reductions of (outer, n, inner) over n. A task of pass 0 reduces a block of n (4096 numbers that lie side by side, or
// 256 rows of up to 1024 columns); if an axis has several blocks they go to scratch and pass 1 reduces them in order.
// A row's blocks, and so its bits, depend on n and inner alone. Traffic: u once.
#include "rows.h"

enum { SUM, MEAN, LARGEST };

typedef struct {
  ref u, y, scratch;
  int32_t pass, outer, n, inner;
} ReduceForward;

typedef struct {
  ref u, y, dy, du;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, outer, n, inner;
} ReduceBackward;

// How n and inner are cut, as in reduce.ts.
typedef struct {
  int blockSize, blocks, pieces;
} Cut;

INLINE Cut cutOf(int n, int inner) {
  const int blockSize = inner == 1 ? 4096 : 256;
  const Cut cut = {blockSize, MAX(1, (n + blockSize - 1) / blockSize), (inner + 1023) / 1024};
  return cut;
}

// NaN is larger than all.
INLINE vf combine(int kind, vf a, vf b) { return kind == LARGEST ? where((b > a) | (b != b), b, a) : a + b; }
INLINE float nothing(int kind) { return kind == LARGEST ? -__builtin_inff() : 0; }
INLINE vf weigh(int kind, vf v, int n) { return kind == MEAN ? v * (1.0f / (float)n) : v; }

INLINE float combineLanes(int kind, vf v) {
  float s[LANES];
  store(s, v);
  UNROLL for (int width = LANES / 2; width > 0; width /= 2) {
    UNROLL for (int i = 0; i < width; i++) {
      const float a = s[i], b = s[i + width];
      s[i] = kind == LARGEST ? (b > a || b != b ? b : a) : a + b;
    }
  }
  return s[0];
}

// Where among n numbers the largest of them, or NaN, stands first.
INLINE int firstOf(const float* u, int n, float most) {
  for (int i = 0; i < n; i++) {
    if (u[i] == most || u[i] != u[i]) return i;
  }
  return 0;
}

// n numbers side by side, in four sums that take turns.
INLINE float reduceRow(int kind, const float* u, int n) {
  vf s[4];
  UNROLL for (int k = 0; k < 4; k++) s[k] = splat(nothing(kind));
  int i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    UNROLL for (int k = 0; k < 4; k++) s[k] = combine(kind, s[k], load(u + i + k * LANES));
  }
  for (; i < n; i += LANES) {
    vf v = loadUpTo(u + i, n - i);
    for (int k = n - i; k < LANES; k++) v[k] = nothing(kind);
    s[0] = combine(kind, s[0], v);
  }
  return combineLanes(kind, combine(kind, combine(kind, s[0], s[1]), combine(kind, s[2], s[3])));
}

// Columns from ≤ i < to of `rows` rows.
INLINE void reduceColumns(int kind, const float* u, int rows, int inner, int from, int to, float* y, int n) {
  int i = from;
  for (; i + 4 * LANES <= to; i += 4 * LANES) {
    vf s[4];
    UNROLL for (int k = 0; k < 4; k++) s[k] = splat(nothing(kind));
    for (int row = 0; row < rows; row++) {
      UNROLL for (int k = 0; k < 4; k++) s[k] = combine(kind, s[k], load(u + (long)row * inner + i + k * LANES));
    }
    UNROLL for (int k = 0; k < 4; k++) store(y + i + k * LANES, weigh(kind, s[k], n));
  }
  for (; i < to; i += LANES) {
    vf s = splat(nothing(kind));
    for (int row = 0; row < rows; row++) s = combine(kind, s, loadUpTo(u + (long)row * inner + i, to - i));
    storeUpTo(y + i, weigh(kind, s, n), to - i);
  }
}

INLINE void reduce(int kind, char* base, const ReduceForward* p, int begin, int end) {
  const int n = p->n, inner = p->inner;
  const Cut cut = cutOf(n, inner);
  const float* u = FLOATS(p->u);
  float *y = FLOATS(p->y), *scratch = FLOATS(p->scratch);
  const int direct = cut.blocks == 1;
  const int partial = kind == MEAN && !direct ? SUM : kind;
  for (int task = begin; task < end; task++) {
    const int piece = task % cut.pieces, line = task / cut.pieces;
    const int from = piece * 1024, to = MIN(from + 1024, inner);
    if (p->pass == 1) {
      reduceColumns(kind, scratch + (long)line * cut.blocks * inner, cut.blocks, inner, from, to, y + (long)line * inner, n);
      continue;
    }
    const int first = line % cut.blocks * cut.blockSize, rows = MIN(cut.blockSize, n - first);
    const float* block = u + ((long)(line / cut.blocks) * n + first) * inner;
    float* result = (direct ? y : scratch) + (long)line * inner;
    if (inner > 1) reduceColumns(partial, block, rows, inner, from, to, result, n);
    else *result = weigh(partial, splat(reduceRow(partial, block, rows)), n)[0];
  }
}

// A task is a block of rows, as in pass 0 of forward.
INLINE void spread(int kind, char* base, const ReduceBackward* p, int begin, int end) {
  const int n = p->n, inner = p->inner;
  const Cut cut = cutOf(n, inner);
  const float* dys = FLOATS(p->dy);
  float* dus = FLOATS(p->du);
  for (int task = begin; task < end; task++) {
    const int piece = task % cut.pieces, line = task / cut.pieces, o = line / cut.blocks;
    const int first = line % cut.blocks * cut.blockSize, rows = MIN(cut.blockSize, n - first);
    const float* dy = dys + (long)o * inner;
    float* du = dus + ((long)o * n + first) * inner;
    // One row of columns, or all rows of one column: either way a run of numbers.
    const int runs = inner > 1 ? rows : 1, from = piece * 1024, to = inner > 1 ? MIN(from + 1024, inner) : rows;
    for (int run = 0; run < runs; run++) {
      float* out = du + (long)run * inner;
      for (int i = from; i < to; i += LANES) {
        const vf g = weigh(kind, inner > 1 ? loadUpTo(dy + i, to - i) : splat(*dy), n);
        storeUpTo(out + i, p->accumulate ? g + loadUpTo(out + i, to - i) : g, to - i);
      }
    }
  }
}

KERNEL(sumForward) { reduce(SUM, base, arguments, begin, end); }
KERNEL(meanForward) { reduce(MEAN, base, arguments, begin, end); }
KERNEL(maxForward) { reduce(LARGEST, base, arguments, begin, end); }
KERNEL(sumBackward) { spread(SUM, base, arguments, begin, end); }
KERNEL(meanBackward) { spread(MEAN, base, arguments, begin, end); }

// A task is one of `outer` times up to 1024 columns, all n of each: which element is the first is found in order.
KERNEL(maxBackward) {
  const ReduceBackward* p = arguments;
  const int n = p->n, inner = p->inner, pieces = (inner + 1023) / 1024;
  const float *us = FLOATS(p->u), *ys = FLOATS(p->y), *dys = FLOATS(p->dy);
  float* dus = FLOATS(p->du);
  for (int task = begin; task < end; task++) {
    const int o = task / pieces, from = task % pieces * 1024, to = MIN(from + 1024, inner);
    const float *u = us + (long)o * n * inner, *y = ys + (long)o * inner, *dy = dys + (long)o * inner;
    float* du = dus + (long)o * n * inner;
    if (inner == 1) {
      const int first = firstOf(u, n, *y);
      for (int i = 0; i < n && !p->accumulate; i++) du[i] = 0;
      du[first] += *dy;
      continue;
    }
    for (int i = from; i < to; i += LANES) {
      const int lanes = to - i;
      const vf most = loadUpTo(y + i, lanes), g = loadUpTo(dy + i, lanes);
      vi found = {0};
      for (int row = 0; row < n; row++) {
        const vf v = loadUpTo(u + (long)row * inner + i, lanes);
        const vi hit = ((v == most) | (v != v)) & ~found;
        found |= hit;
        float* out = du + (long)row * inner + i;
        const vf given = (vf)((vi)g & hit);
        storeUpTo(out, p->accumulate ? given + loadUpTo(out, lanes) : given, lanes);
      }
    }
  }
}

typedef struct {
  ref u, index, scratch;
  int32_t pass, rows, n;
} ArgmaxForward;

// A task is a row: its maximum, then the first place where it stands.
KERNEL(argmaxForward) {
  const ArgmaxForward* p = arguments;
  const float* us = FLOATS(p->u);
  int32_t* index = INTS(p->index);
  for (int row = begin; row < end; row++) {
    const float* u = us + (long)row * p->n;
    const float most = reduceRow(LARGEST, u, p->n);
    index[row] = firstOf(u, p->n, most);
  }
}
