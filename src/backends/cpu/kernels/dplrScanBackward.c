// S4 as a recurrence, backward (ops/dplrScan.ts gives the adjoint). A task is a vector of channels of one sequence: it
// runs the recurrence once more, keeping h before every 16 steps, then takes these chunks from the last to the first, each
// with all its h. What is read of a state and of its adjoint is P* and P of it up to factors, so P is needed no more:
//   P* (h[t] + h[t−1]) = M⁻¹ (Re Σ f h[t−1] + Δ P* d B u[t])        Re Σ μ̄ P = 2/Δ Re Σ w̄ g
// About 40 operations a pair and step for rank 1. The gradients of a task's parameters go to the scratch; a last pass
// adds them up over the batch. These orders depend on length and batch alone.
#include "dplrScan.h"

typedef struct {
  DplrScanRefs refs;
  ref dy, dLast, du, dLambda, dP, dB, dC, dDelta, dD, dState;
  uint32_t accumulate;
  ref scratch;
  DplrScanSizes sizes;
} DplrScanBackward;

enum { DPLR_STEPS = 16 };

// Gradients of a state's numbers.
typedef struct {
  cv lambda, B, C, P[2];
} DplrModeSums;

// Scratch: what is discrete of all blocks; per sequence and block the sums, then dD; per thread the states before each
// chunk, those of a chunk, the adjoint. Also in dplrScan.ts.
INLINE long dplrSumsSize(int n) { return (10L * n + 1) * LANES; }
INLINE float* dplrSumsAt(float* scratch, const DplrScanSizes* s, long task) {
  return scratch + dplrBlocks(s) * dplrBlockSize(s->n) + task * dplrSumsSize(s->n);
}
INLINE float* dplrBackOwn(float* scratch, const DplrScanSizes* s, int thread) {
  const long chunks = (s->length + DPLR_STEPS - 1) / DPLR_STEPS, states = chunks + DPLR_STEPS + 1 + 1;
  const long own = MAX(states * 2, 8) * s->n * LANES;
  return dplrSumsAt(scratch, s, (long)s->batch * dplrBlocks(s)) + thread * own;
}

KERNEL(dplrScanBackwardDiscretize) {
  const DplrScanBackward* a = arguments;
  const DplrScanSizes* s = &a->sizes;
  float* scratch = FLOATS(a->scratch);
  for (int i = begin; i < end; i++) {
    float *own = dplrBackOwn(scratch, s, thread), *to = scratch + i * dplrBlockSize(s->n);
    if (s->rank == 1) dplrDiscretize(&a->refs, s, base, i, own, to, 1);
    else dplrDiscretize(&a->refs, s, base, i, own, to, 2);
  }
}

INLINE void giveLanes(float* to, int adds, vf v, int lanes) {
  if (to) storeUpTo(to, adds ? loadUpTo(to, lanes) + v : v, lanes);
}

// One step back: g is the adjoint after it, then before it; twice μ is their sum.
INLINE vf dplrStepBack(const DplrMode* mode, const DplrBlock* block, const cv* h, const cv* next, cv* g, int n, vf u,
                       vf dy, const vf* reads, DplrModeSums* sums, const int rank) {
  cv du = {splat(0), splat(0)}, low[2] = {0};
  const vf dy2 = dy + dy;
  for (int i = 0; i < n; i++) {
    const cv own = {fma_(mode[i].C.re, dy2, g[i].re), fma_(-mode[i].C.im, dy2, g[i].im)};
    g[i] = own;
    sums[i].C = (cv){fma_(next[i].re, dy2, sums[i].C.re), fma_(-next[i].im, dy2, sums[i].C.im)};
    addRealDot(&du, mode[i].b, own);
    UNROLL for (int k = 0; k < rank; k++) addRealDot(&low[k], mode[i].w[k], own);
  }
  vf wg[2], Pe[2];
  UNROLL for (int k = 0; k < rank; k++) {
    wg[k] = low[k].re + low[k].im;
    Pe[k] = splat(0);
    UNROLL for (int l = 0; l < rank; l++) {
      Pe[k] = fma_(block->Minv[k * rank + l], fma_(block->input[l], u, reads[l]), Pe[k]);
    }
    Pe[k] *= -0.25f * block->delta;
    wg[k] *= -2.0f;
  }
  for (int i = 0; i < n; i++) {
    cv before = times(g[i], mode[i].a, -1);
    UNROLL for (int k = 0; k < rank; k++) {
      const vf x = -0.5f * wg[k];
      before = (cv){fma_(-mode[i].f[k].re, x, before.re), fma_(mode[i].f[k].im, x, before.im)};
    }
    const cv mu2 = plus(g[i], before), e = plus(h[i], next[i]);
    g[i] = before;
    DplrModeSums* own = &sums[i];
    own->lambda = plus(own->lambda, times(mu2, e, -1));
    own->B = (cv){fma_(mu2.re, u, own->B.re), fma_(mu2.im, u, own->B.im)};
    UNROLL for (int k = 0; k < rank; k++) {
      own->P[k] = (cv){fma_(mu2.re, Pe[k], own->P[k].re), fma_(mu2.im, Pe[k], own->P[k].im)};
      own->P[k] = (cv){fma_(e.re, wg[k], own->P[k].re), fma_(e.im, wg[k], own->P[k].im)};
    }
  }
  return du.re + du.im;
}

INLINE void dplrRunBack(const DplrScanBackward* a, char* base, int b, int block, cv* starts, float* discrete,
                        float* to, const int rank) {
  const DplrScanSizes* s = &a->sizes;
  const int n = s->n, first = block * LANES, count = MIN(LANES, s->channels - first);
  const int chunks = (s->length + DPLR_STEPS - 1) / DPLR_STEPS;
  const long at = ((long)b * s->channels + first) * 2 * n, row = (long)b * s->length * s->channels + first;
  const DplrMode* mode = dplrModes(discrete);
  const float *u = FLOATS(a->refs.u) + row, *dy = a->dy ? FLOATS(a->dy) + row : 0;
  float* du = a->du ? FLOATS(a->du) + row : 0;
  cv *states = starts + (long)chunks * n, *g = states + (DPLR_STEPS + 1) * n;
  DplrModeSums* sums = (DplrModeSums*)to;
  for (int i = 0; i < 10 * n; i++) ((vf*)to)[i] = splat(0);
  if (a->refs.state) gatherChannels(FLOATS(a->refs.state) + at, count, 2 * n, (float*)starts, LANES);
  else for (int i = 0; i < n; i++) starts[i] = (cv){splat(0), splat(0)};
  if (a->dLast) gatherChannels(FLOATS(a->dLast) + at, count, 2 * n, (float*)g, LANES);
  else for (int i = 0; i < n; i++) g[i] = (cv){splat(0), splat(0)};
  vf reads[DPLR_STEPS + 1][2], sumD = splat(0);
  const vf D = a->refs.D ? loadUpTo(FLOATS(a->refs.D) + first, count) : splat(0);
  for (int chunk = 0; chunk + 1 < chunks; chunk++) {
    cv *from = starts + (long)chunk * n, *h = from + n;
    dplrReads(mode, from, n, reads[0], rank);
    for (int t = chunk * DPLR_STEPS; t < (chunk + 1) * DPLR_STEPS; t++) {
      dplrStep(mode, t % DPLR_STEPS == 0 ? from : h, h, n, loadUpTo(u + (long)t * s->channels, count), reads[0], rank);
    }
  }
  for (int chunk = chunks - 1; chunk >= 0; chunk--) {
    const int begin = chunk * DPLR_STEPS, steps = MIN(DPLR_STEPS, s->length - begin);
    for (int i = 0; i < n; i++) states[i] = starts[(long)chunk * n + i];
    dplrReads(mode, states, n, reads[0], rank);
    for (int t = 0; t < steps; t++) {
      const vf input = loadUpTo(u + (long)(begin + t) * s->channels, count);
      UNROLL for (int k = 0; k < rank; k++) reads[t + 1][k] = reads[t][k];
      dplrStep(mode, states + t * n, states + (t + 1) * n, n, input, reads[t + 1], rank);
    }
    for (int t = steps - 1; t >= 0; t--) {
      const long tc = (long)(begin + t) * s->channels;
      const vf input = loadUpTo(u + tc, count), gradient = dy ? loadUpTo(dy + tc, count) : splat(0);
      const vf own = dplrStepBack(mode, (const DplrBlock*)discrete, states + t * n, states + (t + 1) * n, g, n, input,
                                  gradient, reads[t], sums, rank);
      giveLanes(du ? du + tc : 0, a->accumulate & 1, fma_(D, gradient, own), count);
      sumD = fma_(input, gradient, sumD);
    }
  }
  ((vf*)to)[10 * n] = sumD;
  if (a->dState) {
    scatterChannels((const float*)g, LANES, FLOATS(a->dState) + at, count, 2 * n, a->accumulate >> 7 & 1);
  }
}

KERNEL(dplrScanBackward) {
  const DplrScanBackward* a = arguments;
  const DplrScanSizes* s = &a->sizes;
  const int blocks = dplrBlocks(s);
  float* scratch = FLOATS(a->scratch);
  for (int i = begin; i < end; i++) {
    const int b = i / blocks, block = i % blocks;
    float *discrete = scratch + block * dplrBlockSize(s->n), *to = dplrSumsAt(scratch, s, i);
    cv* own = (cv*)dplrBackOwn(scratch, s, thread);
    if (s->rank == 1) dplrRunBack(a, base, b, block, own, discrete, to, 1);
    else dplrRunBack(a, base, b, block, own, discrete, to, 2);
  }
}

// x (n) in a vector of channels, to rows of a gradient (channels, n, 2); returns Re x̄ g with what x is a gradient of.
INLINE vf giveDplr(float* to, int adds, long at, const DplrModeSums* sums, int field, vf factor, const float* of, int n,
                    int count, float* own) {
  cv *values = (cv*)own, *numbers = values + n;
  gatherChannels(of + at, count, 2 * n, (float*)numbers, LANES);
  cv dot = {splat(0), splat(0)};
  for (int i = 0; i < n; i++) {
    values[i] = scaled(((const cv*)&sums[i])[field], factor);
    addRealDot(&dot, values[i], numbers[i]);
  }
  if (to) scatterChannels((const float*)values, LANES, to + at, count, 2 * n, adds);
  return dot.re + dot.im;
}

// The sums over the batch, and the gradient of Δ. A task is a vector of channels.
KERNEL(dplrScanBackwardSums) {
  const DplrScanBackward* a = arguments;
  const DplrScanSizes* s = &a->sizes;
  float* scratch = FLOATS(a->scratch);
  const int blocks = dplrBlocks(s), n = s->n;
  for (int block = begin; block < end; block++) {
    const int first = block * LANES, count = MIN(LANES, s->channels - first);
    const long at = 2L * n * first;
    float *own = dplrBackOwn(scratch, s, thread), *to = dplrSumsAt(scratch, s, block);
    for (int b = 1; b < s->batch; b++) {
      const vf* more = (const vf*)dplrSumsAt(scratch, s, (long)b * blocks + block);
      for (int i = 0; i <= 10 * n; i++) ((vf*)to)[i] += more[i];
    }
    const DplrModeSums* sums = (const DplrModeSums*)to;
    const vf delta = loadUpTo(FLOATS(a->refs.delta) + first, count);
    const uint32_t adds = a->accumulate;
    vf dDelta = giveDplr(FLOATS(a->dLambda), adds >> 1 & 1, at, sums, 0, 0.25f * delta, FLOATS(a->refs.lambda), n, count, own);
    dDelta += giveDplr(FLOATS(a->dB), adds >> 3 & 1, at, sums, 1, 0.5f * delta, FLOATS(a->refs.B), n, count, own);
    giveDplr(FLOATS(a->dC), adds >> 4 & 1, at, sums, 2, splat(1), FLOATS(a->refs.C), n, count, own);
    for (int k = 0; k < s->rank; k++) {
      const long rank = 2L * k * s->channels * n;
      dDelta += 0.5f * giveDplr(FLOATS(a->dP), adds >> 2 & 1, at + rank, sums, 3 + k, splat(1), FLOATS(a->refs.P), n, count, own);
    }
    giveLanes(a->dDelta ? FLOATS(a->dDelta) + first : 0, adds >> 5 & 1, dDelta / delta, count);
    giveLanes(a->dD ? FLOATS(a->dD) + first : 0, adds >> 6 & 1, ((vf*)to)[10 * n], count);
  }
}
