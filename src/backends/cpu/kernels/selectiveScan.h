// What the selective scan and its backward share: where the tensors are, and how the work is cut.
#pragma once
#include "rows.h"
#include "vectorMath.h"

// Of a task: channels, a few cache lines side by side (also in selectiveScan.ts), and steps at a time: between them, h
// is kept for backward (also in the op).
// Of a vector of channels: states whose h is in registers together.
enum { SCAN_CHANNELS = 64, SCAN_STEPS = 16, SCAN_STATES = 4 };

// What both kernels are given first, as refs and as pointers.
typedef struct {
  ref u, delta, A, B, C, D, z, deltaBias, state, resets, y, last, chunks;
} ScanRefs;

typedef struct {
  const float *u, *delta, *A, *B, *C, *D, *z, *deltaBias, *state;
  const int32_t* resets;
  int length, dInner, dState, groups, softplus;
} Scan;

typedef struct {
  int32_t pass, batch, length, dInner, dState, groups, softplus;
} ScanSizes;

INLINE Scan openScan(char* base, const ScanRefs* r, const ScanSizes* s) {
  return (Scan){FLOATS(r->u),      FLOATS(r->delta), FLOATS(r->A),         FLOATS(r->B),     FLOATS(r->C),
                FLOATS(r->D),      FLOATS(r->z),     FLOATS(r->deltaBias), FLOATS(r->state), INTS(r->resets),
                s->length, s->dInner, s->dState,     s->groups,            s->softplus};
}

// Channels first ≤ d < first + count of sequence b, all in group g: no vector straddles two groups.
typedef struct {
  int b, g, first, count;
} ScanBlock;

INLINE int scanBlocks(const Scan* s) { return (s->dInner / s->groups + SCAN_CHANNELS - 1) / SCAN_CHANNELS; }

INLINE ScanBlock scanBlock(const Scan* s, int b, int g, int block) {
  const int perGroup = s->dInner / s->groups, from = block * SCAN_CHANNELS;
  return (ScanBlock){b, g, g * perGroup + from, MIN(SCAN_CHANNELS, perGroup - from)};
}

INLINE int scanVectors(const ScanBlock* block) { return (block->count + LANES - 1) / LANES; }

// Δ + Δbias at offset `at`, channel d, of which `lanes` count.
INLINE vf scanDelta(const Scan* s, int at, int d, int lanes) {
  const vf delta = loadUpTo(s->delta + at, lanes);
  return s->deltaBias ? delta + loadUpTo(s->deltaBias + d, lanes) : delta;
}

// exp(Δ′ A) for `count` states, rate = A log2 e.
INLINE void scanDecays(vf* decay, vf delta, const vf* rate, const int count) {
  UNROLL for (int i = 0; i < count; i++) decay[i] = delta * rate[i];
  exp2Decays(decay, count);
}

// Where h of state 0 at channel d before step t is kept for backward, the other states dInner apart.
INLINE int64_t scanKept(const Scan* s, int b, int t, int d) {
  const int chunks = (s->length + SCAN_STEPS - 1) / SCAN_STEPS;
  return ((int64_t)b * chunks + t / SCAN_STEPS) * s->dState * s->dInner + d;
}

// Rows of a step are far apart in memory, and no prefetcher guesses the next one.
INLINE void scanPrefetch(const float* row) {
  if (row) UNROLL for (int i = 0; i < SCAN_CHANNELS; i += 16) __builtin_prefetch(row + i);
}
