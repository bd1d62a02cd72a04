// What S4's recurrence and its backward share. Lanes are channels. A first pass makes each vector of channels discrete
// (math/dplr.ts), once for all sequences: state by state what a step needs, in the order in which it is read.
#pragma once
#include "complexVector.h"
#include "transpose.h"

typedef struct {
  ref u, lambda, P, B, C, delta, D, state, y, last;
} DplrScanRefs;

typedef struct {
  int32_t pass, batch, length, channels, n, rank;
} DplrScanSizes;

// Of one state; Ā h = a h − Σ_r w_r Re Σ f_r h.
typedef struct {
  cv a, b, C, w[2], f[2];
} DplrMode;

// Of a vector of channels besides: M⁻¹ of Woodbury's identity, and Δ P* d B.
typedef struct {
  vf delta, Minv[4], input[2];
} DplrBlock;

// Floats of a vector of channels; also in dplrScan.ts.
INLINE long dplrBlockSize(int n) { return (14L * n + 7) * LANES; }
INLINE int dplrBlocks(const DplrScanSizes* s) { return (s->channels + LANES - 1) / LANES; }
INLINE DplrMode* dplrModes(float* block) { return (DplrMode*)(block + 7 * LANES); }

// Re Σ a b and Re Σ ā b as pairs of sums, whose halves are added at the end.
INLINE void addReal(cv* sum, cv a, cv b) {
  sum->re = fma_(a.re, b.re, sum->re);
  sum->im = fma_(-a.im, b.im, sum->im);
}
INLINE void addRealDot(cv* sum, cv a, cv b) {
  sum->re = fma_(a.re, b.re, sum->re);
  sum->im = fma_(a.im, b.im, sum->im);
}
// z − a x for a real x
INLINE cv lessReal(cv z, cv a, vf x) { return (cv){fma_(-a.re, x, z.re), fma_(-a.im, x, z.im)}; }

INLINE void dplrInverse(const vf* M, vf* inverse, const int rank) {
  if (rank == 1) {
    inverse[0] = 1.0f / M[0];
  } else {
    const vf scale = 1.0f / (M[0] * M[3] - M[1] * M[2]);
    inverse[0] = M[3] * scale, inverse[1] = -M[1] * scale, inverse[2] = -M[2] * scale, inverse[3] = M[0] * scale;
  }
}

// own: (2 + rank) · n · 2 · LANES floats of the thread.
INLINE void dplrDiscretize(const DplrScanRefs* r, const DplrScanSizes* s, char* base, int block, float* own, float* to,
                           const int rank) {
  const int n = s->n, first = block * LANES, count = MIN(LANES, s->channels - first);
  const long row = 2L * n * LANES, at = 2L * n * first;
  cv *lambda = (cv*)own, *B = (cv*)(own + row), *P[2];
  gatherChannels(FLOATS(r->lambda) + at, count, 2 * n, (float*)lambda, LANES);
  gatherChannels(FLOATS(r->B) + at, count, 2 * n, (float*)B, LANES);
  for (int k = 0; k < rank; k++) {
    P[k] = (cv*)(own + (2 + k) * row);
    gatherChannels(FLOATS(r->P) + 2L * k * s->channels * n + at, count, 2 * n, (float*)P[k], LANES);
  }
  DplrMode* mode = dplrModes(to);
  DplrBlock* whole = (DplrBlock*)to;
  const vf delta = loadUpTo(FLOATS(r->delta) + first, count), half = 0.5f * delta;
  cv G[4] = {0}, input[2] = {0};
  for (int i = 0; i < n; i++) {
    const cv x = scaled(lambda[i], half);
    const vf re = 1.0f - x.re, scale = 1.0f / fma_(re, re, x.im * x.im);
    const cv d = {re * scale, x.im * scale};
    mode[i].a = (cv){2.0f * d.re - 1.0f, 2.0f * d.im};
    mode[i].b = times(d, B[i], 1);
    UNROLL for (int k = 0; k < rank; k++) {
      mode[i].f[k] = scaled(times(d, P[k][i], -1), splat(4));
      mode[i].w[k] = times(d, P[k][i], 1);
      addRealDot(&input[k], P[k][i], mode[i].b);
    }
    UNROLL for (int k = 0; k < rank; k++) {
      UNROLL for (int l = 0; l < rank; l++) addRealDot(&G[k * rank + l], P[k][i], mode[i].w[l]);
    }
  }
  vf M[4], R[4], low[2];
  UNROLL for (int k = 0; k < rank * rank; k++) {
    M[k] = fma_(delta, G[k].re + G[k].im, splat(k % (rank + 1) == 0 ? 1 : 0));
  }
  dplrInverse(M, whole->Minv, rank);
  UNROLL for (int k = 0; k < rank * rank; k++) R[k] = half * whole->Minv[k];
  UNROLL for (int k = 0; k < rank; k++) {
    low[k] = 2.0f * (input[k].re + input[k].im);
    whole->input[k] = delta * low[k];
  }
  whole->delta = delta;
  gatherChannels(FLOATS(r->C) + at, count, 2 * n, (float*)lambda, LANES);
  for (int i = 0; i < n; i++) {
    const cv d0 = mode[i].w[0], d1 = mode[i].w[1];
    mode[i].C = lambda[i];
    UNROLL for (int k = 0; k < rank; k++) {
      mode[i].w[k] = scaled(d0, R[k]);
      if (rank == 2) mode[i].w[k] = plus(mode[i].w[k], scaled(d1, R[2 + k]));
      mode[i].b = lessReal(mode[i].b, mode[i].w[k], low[k]);
    }
    mode[i].b = scaled(mode[i].b, delta);
  }
}

// Re Σ f h, from a state.
INLINE void dplrReads(const DplrMode* mode, const cv* h, int n, vf* reads, const int rank) {
  cv sums[2] = {0};
  for (int i = 0; i < n; i++) UNROLL for (int k = 0; k < rank; k++) addReal(&sums[k], mode[i].f[k], h[i]);
  UNROLL for (int k = 0; k < rank; k++) reads[k] = sums[k].re + sums[k].im;
}

// One step, h to next: what the next step reads, and Re Σ C h.
INLINE vf dplrStep(const DplrMode* mode, const cv* h, cv* next, int n, vf u, vf* reads, const int rank) {
  cv y = {splat(0), splat(0)}, sums[2] = {0};
  for (int i = 0; i < n; i++, mode++) {
    cv z = {fma_(mode->b.re, u, mode->a.re * h[i].re), fma_(mode->b.im, u, mode->a.re * h[i].im)};
    z = (cv){fma_(-mode->a.im, h[i].im, z.re), fma_(mode->a.im, h[i].re, z.im)};
    UNROLL for (int k = 0; k < rank; k++) z = lessReal(z, mode->w[k], reads[k]);
    next[i] = z;
    addReal(&y, mode->C, z);
    UNROLL for (int k = 0; k < rank; k++) addReal(&sums[k], mode->f[k], z);
  }
  UNROLL for (int k = 0; k < rank; k++) reads[k] = sums[k].re + sums[k].im;
  return y.re + y.im;
}
