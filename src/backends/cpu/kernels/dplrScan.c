// S4 as a recurrence, forward. A task is a vector of channels of one sequence; its state and its modes, 14 n vectors for
// rank 1 or 2, stay in the first-level cache. What the next step reads of a state is summed while it is written, so a
// step is one loop: 12 operations a pair for rank 1, 16 for rank 2, and no step knows where a chunk begins.
// Traffic: u and y once, the parameters once, the states twice. A single step is mostly the discretization.
#include "dplrScan.h"

typedef struct {
  DplrScanRefs refs;
  ref scratch;
  DplrScanSizes sizes;
} DplrScan;

// Of a thread: rows of parameters while these are made discrete, then a state. Also in dplrScan.ts.
INLINE float* dplrOwn(float* scratch, const DplrScanSizes* s, int thread) {
  return scratch + dplrBlocks(s) * dplrBlockSize(s->n) + (long)thread * 8 * s->n * LANES;
}

KERNEL(dplrScanDiscretize) {
  const DplrScan* a = arguments;
  const DplrScanSizes* s = &a->sizes;
  float* scratch = FLOATS(a->scratch);
  for (int i = begin; i < end; i++) {
    float *own = dplrOwn(scratch, s, thread), *to = scratch + i * dplrBlockSize(s->n);
    if (s->rank == 1) dplrDiscretize(&a->refs, s, base, i, own, to, 1);
    else dplrDiscretize(&a->refs, s, base, i, own, to, 2);
  }
}

INLINE void dplrRun(const DplrScan* a, char* base, int b, int block, cv* h, float* discrete, const int rank) {
  const DplrScanSizes* s = &a->sizes;
  const DplrMode* mode = dplrModes(discrete);
  const int first = block * LANES, count = MIN(LANES, s->channels - first);
  const long at = ((long)b * s->channels + first) * 2 * s->n;
  if (a->refs.state) gatherChannels(FLOATS(a->refs.state) + at, count, 2 * s->n, (float*)h, LANES);
  else for (int i = 0; i < s->n; i++) h[i] = (cv){splat(0), splat(0)};
  vf reads[2];
  dplrReads(mode, h, s->n, reads, rank);
  const vf D = a->refs.D ? loadUpTo(FLOATS(a->refs.D) + first, count) : splat(0);
  const float* u = FLOATS(a->refs.u) + (long)b * s->length * s->channels + first;
  float* y = FLOATS(a->refs.y) + (long)b * s->length * s->channels + first;
  for (int t = 0; t < s->length; t++, u += s->channels, y += s->channels) {
    const vf input = loadUpTo(u, count);
    const vf sum = dplrStep(mode, h, h, s->n, input, reads, rank);
    storeUpTo(y, fma_(D, input, sum + sum), count);
  }
  scatterChannels((const float*)h, LANES, FLOATS(a->refs.last) + at, count, 2 * s->n, 0);
}

KERNEL(dplrScan) {
  const DplrScan* a = arguments;
  const DplrScanSizes* s = &a->sizes;
  const int blocks = dplrBlocks(s);
  float* scratch = FLOATS(a->scratch);
  for (int i = begin; i < end; i++) {
    const int b = i / blocks, block = i % blocks;
    float* discrete = scratch + block * dplrBlockSize(s->n);
    cv* h = (cv*)dplrOwn(scratch, s, thread);
    if (s->rank == 1) dplrRun(a, base, b, block, h, discrete, 1);
    else dplrRun(a, base, b, block, h, discrete, 2);
  }
}
