// Attention, forward. A task is ATTENTION_ROWS queries of one head, the last ones first, since they see the most. It goes
// through the keys a block at a time with running maxima, sums and means (online softmax: Milakov & Gimelshein 2018;
// FlashAttention: Dao et al. 2022), so it keeps rows × block scores, in its caches. Each task packs each block of k and
// v anew: a few per cent of the products that it does with it; a query alone waits for memory either way.
// Traffic: q and y once, k and v once for every ATTENTION_ROWS queries. Parallel over batch · heads · length / 96.
#include "attention.h"

typedef struct {
  AttentionRefs refs;
  ref scratch;
  AttentionSizes sizes;
} AttentionForward;

// Of the queries of a task: of the scores seen so far the largest, of their exponentials the sums, lane by lane.
// shrink: what the sums before a block are worth after it.
typedef struct {
  float scores[ATTENTION_ROWS * ATTENTION_BLOCK], sum[ATTENTION_ROWS * LANES];
  float most[ATTENTION_ROWS + LANES], shrink[ATTENTION_ROWS + LANES];
} Softmax2;

// What lies beyond the keys that a row sees becomes −∞: row i sees first + i of the n columns.
static void hideUnseen(float* scores, int rows, int first, int n) {
  for (int i = 0; i < rows; i++, scores += ATTENTION_BLOCK) {
    for (int j = MAX(0, first + i) / LANES * LANES; j < n; j += LANES) {
      store(scores + j, where(laneIndex() + j < first + i, load(scores + j), splat(-__builtin_inff())));
    }
  }
}

// LANES rows at a time, turned so that a row is a lane.
static void growMaxima(Softmax2* s, int from, int to, int n) {
  for (int i = from; i < to; i += LANES) {
    vf x[LANES];
    UNROLL for (int r = 0; r < LANES; r++) {
      const float* row = s->scores + MIN(i + r, to - 1) * ATTENTION_BLOCK;
      x[r] = load(row);
      for (int j = LANES; j < n; j += LANES) x[r] = atLeast(x[r], load(row + j));
    }
    transpose(x);
    UNROLL for (int width = LANES / 2; width > 0; width /= 2) {
      UNROLL for (int r = 0; r < width; r++) x[r] = atLeast(x[r], x[r + width]);
    }
    const vf before = load(s->most + i), most = atLeast(before, x[0]);
    store(s->most + i, most);
    store(s->shrink + i, exp2Decay(before - most));
  }
}

// Scores become exponentials, and are added to the sums.
static void exponentiate(Softmax2* s, int from, int to, int n) {
  for (int i = from; i < to; i++) {
    const vf most = splat(s->most[i]);
    vf sum = load(s->sum + i * LANES) * splat(s->shrink[i]);
    for (int j = 0; j < n; j += 4 * LANES) {
      float* at = s->scores + i * ATTENTION_BLOCK + j;
      vf x[4];
      UNROLL for (int k = 0; k < 4; k++) x[k] = load(at + k * LANES) - most;
      exp2Decays(x, 4);
      UNROLL for (int k = 0; k < 4; k++) {
        store(at + k * LANES, x[k]);
        sum += x[k];
      }
    }
    store(s->sum + i * LANES, sum);
  }
}

static void shrinkMeans(const Attention* a, const Softmax2* s, int from, int to, float* means) {
  for (int i = from; i < to; i++) {
    if (s->shrink[i] == 1) continue;
    float* row = means + i * a->width;
    for (int d = 0; d < a->headDim; d += LANES) store(row + d, load(row + d) * splat(s->shrink[i]));
  }
}

// Queries i ≤ … < i + rows of head h; p is the position of the first.
static void attendBlock(const Attention* a, int b, int h, int i, int rows, float* scratch) {
  const int p = a->start + i, end = MIN(a->keys, p + rows), kvHead = h / (a->heads / a->kvHeads);
  float *q = scratch, *means = q + ATTENTION_ROWS * a->width, *v = means + ATTENTION_ROWS * a->width;
  float* k = v + ATTENTION_BLOCK * a->width;
  Softmax2 s;
  packBlock(a, a->q + queryAt(a, b, h, i), queryPitch(a), rows, a->scale * LOG2E, q);
  for (int x = 0; x < rows * a->width; x += LANES) store(means + x, splat(0));
  for (int x = 0; x < rows * LANES; x += LANES) store(s.sum + x, splat(0));
  for (int x = 0; x < rows; x += LANES) store(s.most + x, splat(-3e38f));  // −∞ − −∞ would be NaN
  for (int j = 0; j < end; j += ATTENTION_BLOCK) {
    const int n = MIN(ATTENTION_BLOCK, end - j), columns = upTo(n, 4 * LANES), from = MAX(0, j - p);
    const int64_t at = keyAt(a, b, kvHead, j);
    float* scores = s.scores + from * ATTENTION_BLOCK;
    packColumnBlock(a, a->k + at, keyPitch(a), n, k);
    packBlock(a, a->v + at, keyPitch(a), n, 1, v);
    multiplyScores(a, rows - from, columns, q + from * a->width, k, scores);
    hideUnseen(scores, MIN(rows - from, MAX(0, j + columns - p - from - 1)), p + from + 1 - j, columns);
    growMaxima(&s, from, rows, columns);
    exponentiate(&s, from, rows, columns);
    shrinkMeans(a, &s, from, rows, means);
    addSeen(a, rows - from, p + from + 1 - j, n, scores, v, means + from * a->width);
  }
  for (int r = 0; r < rows; r++) {
    const float sum = p + r < a->keys ? sumLanes(load(s.sum + r * LANES)) : __builtin_nanf("");
    const int64_t row = ((int64_t)b * a->length + i + r) * a->heads + h;
    if (a->logSum) a->logSum[row] = (splat(s.most[r] * (1 / LOG2E)) + log_(splat(sum)))[0];
    for (int d = 0; d < a->headDim; d += LANES) {
      storeUpTo(a->y + row * a->headDim + d, load(means + r * a->width + d) / splat(sum), a->headDim - d);
    }
  }
}

KERNEL(attention) {
  const AttentionForward* f = arguments;
  const Attention a = openAttention(base, &f->refs, &f->sizes);
  const int blocks = ceilDiv(a.length, ATTENTION_ROWS), heads = f->sizes.batch * a.heads;
  float* scratch = FLOATS(f->scratch) + (int64_t)thread * a.width * 2 * (ATTENTION_ROWS + ATTENTION_BLOCK);
  for (int task = begin; task < end; task++) {
    const int head = task % heads, i = (blocks - 1 - task / heads) * ATTENTION_ROWS;
    attendBlock(&a, head / a.heads, head % a.heads, i, MIN(ATTENTION_ROWS, a.length - i), scratch);
  }
}
