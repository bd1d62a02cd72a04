// The Cauchy sums of dplrSpectrum.h turned around: from the gradients of S at all frequencies to those of a channel's
// numbers. Frequencies go in blocks: first S anew, and from it what Woodbury's identity makes of the gradient; then,
// state by state, sums over the block. With F the conjugate of the gradient of S and T = Σ F (c p + i s q),
//   dp = Σ Re(F c g)      dq = Σ Re(F i s g)      d|x|² = −Σ Re(T g² c²)      dα = Σ Re(2 i s c T g²)
// which is 28 + 8 (rank + 1)² operations a pair and frequency: 60 for rank 1, after 26 for S. Sums are kept by lanes and
// their lanes added at the end: the order depends on length alone.
#pragma once
#include "dplrSpectrum.h"

enum { DPLR_BLOCK = 16 };  // vectors of frequencies

// One vector of frequencies: F c and F s of each product.
typedef struct {
  vf cosine, sine;
  cv Fc[9], Fs[9];
} Pulled;

// F at frequencies w: e^(iθ/2) times `gradient` conjugated, for K̂ without its factor Δ/2.
INLINE void dplrPull(const Dplr* s, float* table, const Angles* w, cv gradient, Pulled* to, const int rank) {
  cv S[9], tB[2], tC[2], F[9];
  dplrCauchy(table, s->n, w, S, rank);
  dplrWoodbury(S, 0.5f * s->delta * w->cosine, tB, tC, rank);
  F[0] = times((cv){gradient.re, -gradient.im}, (cv){w->cosine, w->sine}, 1);
  UNROLL for (int r = 0; r < rank; r++) {
    F[1 + r] = scaled(times(F[0], tB[r], 1), splat(-1));
    F[(1 + r) * (rank + 1)] = scaled(times(F[0], tC[r], 1), splat(-1));
    UNROLL for (int k = 0; k < rank; k++) {
      F[(1 + r) * (rank + 1) + 1 + k] = times(times(F[0], tC[r], 1), tB[k], 1);
    }
  }
  to->cosine = w->cosine;
  to->sine = w->sine;
  UNROLL for (int v = 0; v < (rank + 1) * (rank + 1); v++) {
    to->Fc[v] = scaled(F[v], w->cosine);
    to->Fs[v] = scaled(F[v], w->sine);
  }
}

// Of one state: dp, dq of each product, then d|x|² and dα.
INLINE int dplrSums(int rank) { return 2 * (rank + 1) * (rank + 1) + 2; }

// Adds to the sums of state i what a block gives it.
INLINE void dplrPullState(float* table, int n, int i, const Pulled* block, int vectors, vf* sums, const int rank) {
  const int products = (rank + 1) * (rank + 1);
  vf p[9], q[9], dp[9], dq[9], dSize = sums[2 * products], dAlpha = sums[2 * products + 1];
  UNROLL for (int v = 0; v < products; v++) {
    const float* own = dplrCouple(table, n, v / 2) + 4 * i + v % 2 * 2;
    p[v] = splat(own[0]), q[v] = splat(own[1]);
    dp[v] = sums[2 * v], dq[v] = sums[2 * v + 1];
  }
  for (int j = 0; j < vectors; j++, block++) {
    const vf sine2 = 2.0f * block->cosine * block->sine;
    const cv g = dplrPole(table + 2 * i, block->cosine, block->sine, sine2);
    cv T = {splat(0), splat(0)};
    UNROLL for (int v = 0; v < products; v++) {
      const cv Fc = block->Fc[v], Fs = block->Fs[v];
      T.re = fma_(-Fs.im, q[v], fma_(Fc.re, p[v], T.re));
      T.im = fma_(Fs.re, q[v], fma_(Fc.im, p[v], T.im));
      dp[v] = fma_(-Fc.im, g.im, fma_(Fc.re, g.re, dp[v]));
      dq[v] = fma_(-Fs.im, g.re, fma_(-Fs.re, g.im, dq[v]));
    }
    const cv W = times(times(T, g, 1), g, 1);
    dSize = fma_(-(block->cosine * block->cosine), W.re, dSize);
    dAlpha = fma_(-sine2, W.im, dAlpha);
  }
  UNROLL for (int v = 0; v < products; v++) sums[2 * v] = dp[v], sums[2 * v + 1] = dq[v];
  sums[2 * products] = dSize, sums[2 * products + 1] = dAlpha;
}

// The gradients of a state's numbers, each (d/dRe, d/dIm).
typedef struct {
  z1 lambda, B, C, P[2];
} DplrGradient;

// From sums to gradients, by p, q, |x|² and α as functions of x and of the products.
static DplrGradient dplrGradient(const Dplr* s, int i, const vf* sums) {
  const int side = s->rank + 1, products = side * side;
  const float alpha = 0.5f * s->delta * s->lambda[i].re, beta = 0.5f * s->delta * s->lambda[i].im;
  const float dSize = sumLanes(sums[2 * products]);
  z1 x = {sumLanes(sums[2 * products + 1]) + 2.0f * alpha * dSize, 2.0f * beta * dSize};
  z1 left[3] = {0}, right[3] = {0};
  for (int v = 0; v < products; v++) {
    const z1 L = dplrLeft(s, v / side, i), R = dplrRight(s, v % side, i), product = zTimes(L, R);
    const float dp = -2.0f * sumLanes(sums[2 * v]), dq = 2.0f * sumLanes(sums[2 * v + 1]);
    const z1 own = {alpha * dp + dq, beta * dp};
    zAdd(&x, (z1){product.re * dp, product.im * dp});
    zAdd(&left[v / side], zTimes(own, zConjugate(R)));
    zAdd(&right[v % side], zTimes(own, zConjugate(L)));
  }
  DplrGradient to = {{0.5f * s->delta * x.re, 0.5f * s->delta * x.im}, right[0], left[0], {right[1], right[2]}};
  for (int r = 0; r < s->rank; r++) zAdd(&to.P[r], zConjugate(left[1 + r]));
  return to;
}

// Of a thread, in floats: a table, and sums of all states.
INLINE long dplrBackScratch(int n, int rank) {
  return (dplrTableSize(n, rank) + 15) / 16 * 16 + (long)n * dplrSums(rank) * LANES;
}
INLINE vf* dplrBackSums(float* scratch, int n, int rank) {
  return (vf*)(scratch + (dplrTableSize(n, rank) + 15) / 16 * 16);
}
