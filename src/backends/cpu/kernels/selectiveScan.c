// Selective scan, forward. A task is 64 channels of one sequence, or what is left of a group; it goes through time in
// chunks of 16 steps. First Δ′, Δ′ u and D u of the chunk, row by row; then, for each vector of channels and each
// four states, all steps with h in registers, while the sums over n grow in the first-level cache; then the gate.
// Between chunks h lies in the output state; backward is left a copy of it. The order of the sum over n is fixed, and no step knows where a chunk
// begins. Traffic: (4 + dState / 16) · batch · length · dInner floats. Parallel over batch · dInner / 64: slow for one sequence of
// few channels.
#include "selectiveScan.h"

typedef struct {
  ScanRefs refs;
  ref scratch;
  ScanSizes sizes;
} SelectiveScan;

// Of one chunk, for each vector of channels and each step.
enum { SCAN_CELLS = SCAN_CHANNELS / LANES * SCAN_STEPS };
typedef struct {
  int steps;
  const int32_t* resets;
  vf delta[SCAN_CELLS], input[SCAN_CELLS], sum[SCAN_CELLS];  // Δ′, Δ′ u, and what becomes y
} ScanChunk;

// Takes `count` states through a chunk. from (or 0), to, kept (or 0): their h, rows dInner apart as in A; B, C: theirs
// at step 0.
INLINE void scanStates(const Scan* s, ScanChunk* chunk, int v, int lanes, const float* A, const float* from,
                       float* to, float* kept, const float* B, const float* C, const int count) {
  const vf *delta = chunk->delta + v * SCAN_STEPS, *input = chunk->input + v * SCAN_STEPS;
  vf *sum = chunk->sum + v * SCAN_STEPS, h[SCAN_STATES], rate[SCAN_STATES];
  const int next = s->groups * s->dState;
#define EACH UNROLL for (int i = 0; i < count; i++)
  EACH h[i] = from ? loadUpTo(from + i * s->dInner, lanes) : splat(0);
  if (kept) EACH storeUpTo(kept + i * s->dInner, h[i], lanes);
  EACH rate[i] = loadUpTo(A + i * s->dInner, lanes) * splat(LOG2E);
  for (int t = 0; t < chunk->steps; t++, B += next, C += next) {
    if (chunk->resets && chunk->resets[t]) EACH h[i] = splat(0);
    vf decay[SCAN_STATES], odd = splat(0), even = sum[t];
    scanDecays(decay, delta[t], rate, count);
    EACH h[i] = fma_(decay[i], h[i], input[t] * splat(B[i]));
    EACH if (i & 1) odd = fma_(h[i], splat(C[i]), odd);
    else even = fma_(h[i], splat(C[i]), even);
    sum[t] = even + odd;
  }
  EACH storeUpTo(to + i * s->dInner, h[i], lanes);
#undef EACH
}

INLINE void beginChunk(const Scan* s, const ScanBlock* block, int row, ScanChunk* chunk, const float* y) {
  for (int t = 0; t < chunk->steps; t++) {
    const int at = (row + t) * s->dInner + block->first;
    scanPrefetch(s->u + at + 4 * s->dInner);
    scanPrefetch(s->delta + at + 4 * s->dInner);
    scanPrefetch(s->z ? s->z + at : 0);
    scanPrefetch(y + at);
    for (int v = 0; v < scanVectors(block); v++) {
      const int c = v * LANES, lanes = block->count - c, cell = v * SCAN_STEPS + t;
      const vf x = scanDelta(s, at + c, block->first + c, lanes), u = loadUpTo(s->u + at + c, lanes);
      chunk->delta[cell] = s->softplus ? softplus_(x) : x;
      chunk->input[cell] = chunk->delta[cell] * u;
      chunk->sum[cell] = s->D ? loadUpTo(s->D + block->first + c, lanes) * u : splat(0);
    }
  }
}

INLINE void endChunk(const Scan* s, const ScanBlock* block, int row, const ScanChunk* chunk, float* y) {
  for (int t = 0; t < chunk->steps; t++) {
    const int at = (row + t) * s->dInner + block->first;
    for (int v = 0; v < scanVectors(block); v++) {
      const int c = v * LANES, lanes = block->count - c;
      const vf sum = chunk->sum[v * SCAN_STEPS + t], z = s->z ? loadUpTo(s->z + at + c, lanes) : splat(0);
      storeUpTo(y + at + c, s->z ? sum * (z * sigmoid_(z)) : sum, lanes);
    }
  }
}

// All states of vector v through the chunk of step t, from the state before (or 0) to the one after.
INLINE void scanVector(const Scan* s, const ScanBlock* block, ScanChunk* chunk, int t, int v, const int lanes,
                       const float* before, float* after, float* chunks) {
  const int d = block->first + v * LANES, h = block->b * s->dState * s->dInner + d;
  const int bc = ((block->b * s->length + t) * s->groups + block->g) * s->dState;
  const float *from = before ? before + h : 0, *A = s->A + d, *B = s->B + bc, *C = s->C + bc;
  float *to = after + h, *kept = chunks ? chunks + scanKept(s, block->b, t, d) : 0;
  int n = 0, nd = 0;
  for (; n + SCAN_STATES <= s->dState; n += SCAN_STATES, nd += SCAN_STATES * s->dInner) {
    scanStates(s, chunk, v, lanes, A + nd, from ? from + nd : 0, to + nd, kept ? kept + nd : 0, B + n, C + n, SCAN_STATES);
  }
  for (; n < s->dState; n++, nd += s->dInner) {
    scanStates(s, chunk, v, lanes, A + nd, from ? from + nd : 0, to + nd, kept ? kept + nd : 0, B + n, C + n, 1);
  }
}

// Steps t ≤ i < t + 16 of a block, or up to the end.
static void scanChunk(const Scan* s, const ScanBlock* block, int t, float* y, float* last, float* chunks) {
  ScanChunk chunk;
  const int row = block->b * s->length + t;
  const float* before = t > 0 ? last : s->state;
  chunk.steps = MIN(SCAN_STEPS, s->length - t);
  chunk.resets = s->resets ? s->resets + row : 0;
  beginChunk(s, block, row, &chunk, y);
  int v = 0;
  for (; (v + 1) * LANES <= block->count; v++) scanVector(s, block, &chunk, t, v, LANES, before, last, chunks);
  if (v * LANES < block->count) scanVector(s, block, &chunk, t, v, block->count - v * LANES, before, last, chunks);
  endChunk(s, block, row, &chunk, y);
}

KERNEL(selectiveScan) {
  const SelectiveScan* a = arguments;
  const Scan s = openScan(base, &a->refs, &a->sizes);
  const int blocks = scanBlocks(&s);
  for (int i = begin; i < end; i++) {
    const ScanBlock block = scanBlock(&s, i / blocks / s.groups, i / blocks % s.groups, i % blocks);
    for (int t = 0; t < s.length; t += SCAN_STEPS) {
      scanChunk(&s, &block, t, FLOATS(a->refs.y), FLOATS(a->refs.last), FLOATS(a->refs.chunks));
    }
  }
}
