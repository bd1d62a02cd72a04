// Attention, backward: scores are computed again from the logarithms of their sums. After a pass that takes y·dy of each
// query, a task of the second is ATTENTION_ROWS keys of one head of k, which meet all queries that see them, in
// order, for dk and dv; a task of the third is as many queries for dq. Seven products for the forward's two: one task
// for all three gradients would need five, but could not be shared among threads without an order of its sums.
// Traffic: that of the forward pass, for each of dq, dk and dv about once more.
#include "attention.h"

typedef struct {
  AttentionRefs refs;
  ref dy, dLogSum, dq, dk, dv, dPosition;
  uint32_t accumulate;
  ref scratch;
  AttentionSizes sizes;
} AttentionBackward;

// In scratch, of each query, those of a head next to each other: its logSum times log2 e, and y·dy.
typedef struct {
  Attention a;
  const float* dy;
  float *logs, *shifts, *own;  // own: of a thread
} AttentionGradient;

INLINE AttentionGradient openAttentionGradient(char* base, const AttentionBackward* f, int thread) {
  const Attention a = openAttention(base, &f->refs, &f->sizes);
  const int64_t queries = upTo(f->sizes.batch * a.heads * a.length + ATTENTION_BLOCK, 16);
  float* scratch = FLOATS(f->scratch);
  const int64_t own = 4 * a.width * (ATTENTION_ROWS + ATTENTION_BLOCK) + 2 * ATTENTION_ROWS * ATTENTION_BLOCK;
  return (AttentionGradient){a, FLOATS(f->dy), scratch, scratch + queries, scratch + 2 * queries + thread * own};
}

KERNEL(attentionShifts) {
  enum { QUERIES = 256 };
  const AttentionBackward* f = arguments;
  const AttentionGradient g = openAttentionGradient(base, f, thread);
  const Attention* a = &g.a;
  const int rows = f->sizes.batch * a->length * a->heads;
  for (int row = begin * QUERIES; row < MIN(end * QUERIES, rows); row++) {
    const int h = row % a->heads, i = row / a->heads % a->length, b = row / a->heads / a->length;
    const int64_t at = (int64_t)row * a->headDim, to = ((int64_t)b * a->heads + h) * a->length + i;
    g.logs[to] = a->logSum[row] * LOG2E;
    g.shifts[to] = dotRow(a->y + at, g.dy + at, a->headDim);
  }
}

// From scores and products v·dy: p and ds. Logarithms and shifts stand beside columns or, splatted, beside rows.
INLINE void weighVector(float* score, float* product, vf log, vf shift) {
  const vf p = exp2Decay(load(score) - log);
  store(score, p);
  store(product, p * (load(product) - shift));
}

// gradient = factor · rows, or added to what it holds.
static void storeGradient(const Attention* a, const float* rows, int n, float factor, int adds, float* to, int pitch) {
  for (int i = 0; i < n; i++, rows += a->width, to += pitch) {
    for (int d = 0; d < a->headDim; d += LANES) {
      const int lanes = a->headDim - d;
      const vf x = load(rows + d) * splat(factor);
      storeUpTo(to + d, adds ? loadUpTo(to + d, lanes) + x : x, lanes);
    }
  }
}

// Keys j ≤ … < j + rows of head kvHead of k.
static void keyGradients(const AttentionGradient* g, const AttentionBackward* f, int b, int kvHead, int j, int rows, float* dk,
                         float* dv) {
  const Attention* a = &g->a;
  const int group = a->heads / a->kvHeads, many = ATTENTION_ROWS * a->width, some = ATTENTION_BLOCK * a->width;
  float *k = g->own, *v = k + many, *dkSum = v + many, *dvSum = dkSum + many, *q = dvSum + many, *dy = q + some;
  float *qColumns = dy + some, *dyColumns = qColumns + some, *scores = dyColumns + some;
  float* products = scores + ATTENTION_ROWS * ATTENTION_BLOCK;
  const int64_t at = keyAt(a, b, kvHead, j);
  packBlock(a, a->k + at, keyPitch(a), rows, a->scale * LOG2E, k);
  packBlock(a, a->v + at, keyPitch(a), rows, 1, v);
  for (int x = 0; x < 2 * many; x += LANES) store(dkSum + x, splat(0));
  for (int h = kvHead * group; h < (kvHead + 1) * group; h++) {
    const int64_t line = ((int64_t)b * a->heads + h) * a->length;
    for (int i = MAX(0, j - a->start) / ATTENTION_BLOCK * ATTENTION_BLOCK; i < a->length; i += ATTENTION_BLOCK) {
      const int n = MIN(ATTENTION_BLOCK, a->length - i), seen = MIN(rows, a->start + i + n - j);
      if (seen <= 0) continue;
      const int64_t atQuery = queryAt(a, b, h, i);
      packBlock(a, a->q + atQuery, queryPitch(a), n, 1, q);
      packColumnBlock(a, a->q + atQuery, queryPitch(a), n, qColumns);
      packBlock(a, g->dy + atQuery, queryPitch(a), n, 1, dy);
      packColumnBlock(a, g->dy + atQuery, queryPitch(a), n, dyColumns);
      multiplyScores(a, seen, n, k, qColumns, scores);
      multiplyScores(a, seen, n, v, dyColumns, products);
      for (int x = 0; x < n; x += LANES) {
        const vf log = load(g->logs + line + i + x), shift = load(g->shifts + line + i + x);
        for (int r = 0; r < seen; r++) {
          weighVector(scores + r * ATTENTION_BLOCK + x, products + r * ATTENTION_BLOCK + x, log, shift);
        }
      }
      addSeeing(a, seen, j - a->start - i, n, scores, dy, dvSum);
      addSeeing(a, seen, j - a->start - i, n, products, q, dkSum);
    }
  }
  if (dk) storeGradient(a, dkSum, rows, a->scale, f->accumulate >> 1 & 1, dk + at, keyPitch(a));
  if (dv) storeGradient(a, dvSum, rows, 1, f->accumulate >> 2 & 1, dv + at, keyPitch(a));
}

KERNEL(attentionBackwardKeys) {
  const AttentionBackward* f = arguments;
  if (!f->dk && !f->dv) return;
  const AttentionGradient g = openAttentionGradient(base, f, thread);
  const int heads = f->sizes.batch * g.a.kvHeads;
  for (int task = begin; task < end; task++) {
    const int head = task % heads, j = task / heads * ATTENTION_ROWS;
    keyGradients(&g, f, head / g.a.kvHeads, head % g.a.kvHeads, j, MIN(ATTENTION_ROWS, g.a.keys - j), FLOATS(f->dk),
                 FLOATS(f->dv));
  }
}

// Queries i ≤ … < i + rows of head h.
static void queryGradients(const AttentionGradient* g, const AttentionBackward* f, int b, int h, int i, int rows, float* dq) {
  const Attention* a = &g->a;
  const int p = a->start + i, last = MIN(a->keys, p + rows), kvHead = h / (a->heads / a->kvHeads);
  const int many = ATTENTION_ROWS * a->width, some = ATTENTION_BLOCK * a->width;
  float *q = g->own, *dy = q + many, *sum = dy + many, *k = sum + many, *kColumns = k + some;
  float *vColumns = kColumns + some, *scores = vColumns + some, *products = scores + ATTENTION_ROWS * ATTENTION_BLOCK;
  const int64_t at = queryAt(a, b, h, i), line = ((int64_t)b * a->heads + h) * a->length + i;
  packBlock(a, a->q + at, queryPitch(a), rows, a->scale * LOG2E, q);
  packBlock(a, g->dy + at, queryPitch(a), rows, 1, dy);
  for (int x = 0; x < many; x += LANES) store(sum + x, splat(0));
  for (int j = 0; j < last; j += ATTENTION_BLOCK) {
    const int n = MIN(ATTENTION_BLOCK, last - j), from = MAX(0, j - p), first = p + from + 1 - j;
    const int64_t atKey = keyAt(a, b, kvHead, j);
    float *own = scores + from * ATTENTION_BLOCK, *ownProducts = products + from * ATTENTION_BLOCK;
    packBlock(a, a->k + atKey, keyPitch(a), n, 1, k);
    packColumnBlock(a, a->k + atKey, keyPitch(a), n, kColumns);
    packColumnBlock(a, a->v + atKey, keyPitch(a), n, vColumns);
    multiplyScores(a, rows - from, n, q + from * a->width, kColumns, own);
    multiplyScores(a, rows - from, n, dy + from * a->width, vColumns, ownProducts);
    for (int r = from; r < rows; r++) {
      const vf log = splat(g->logs[line + r]), shift = splat(g->shifts[line + r]);
      for (int x = r * ATTENTION_BLOCK; x < r * ATTENTION_BLOCK + n; x += LANES) {
        weighVector(scores + x, products + x, log, shift);
      }
    }
    addSeen(a, rows - from, first, n, ownProducts, k, sum + from * a->width);
  }
  storeGradient(a, sum, rows, a->scale, f->accumulate & 1, dq + at, queryPitch(a));
}

KERNEL(attentionBackwardQueries) {
  const AttentionBackward* f = arguments;
  if (!f->dq) return;
  const AttentionGradient g = openAttentionGradient(base, f, thread);
  const int blocks = ceilDiv(g.a.length, ATTENTION_ROWS), heads = f->sizes.batch * g.a.heads;
  for (int task = begin; task < end; task++) {
    const int head = task % heads, i = (blocks - 1 - task / heads) * ATTENTION_ROWS;
    queryGradients(&g, f, head / g.a.heads, head % g.a.heads, i, MIN(ATTENTION_ROWS, g.a.length - i), FLOATS(f->dq));
  }
}
