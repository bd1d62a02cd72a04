// S4's spectrum, backward (dplrSpectrumBackward.h). A task is one channel; nothing comes from the forward pass but the
// parameters. Δ enters as Δ Λ, Δ B and √Δ P alone, hence its gradient from theirs.
#include "dplrSpectrumBackward.h"

typedef struct {
  ref lambda, P, B, C, delta, spectrum, dSpectrum, dLambda, dP, dB, dC, dDelta;
  uint32_t accumulate;
  ref scratch;
  DplrSizes sizes;
} DplrSpectrumBackward;

INLINE void dplrSumsOf(const Dplr* s, float* table, int length, const z1* dSpectrum, vf* sums, const int rank) {
  const int count = length / 2 + 1;
  Pulled block[DPLR_BLOCK];
  dplrTable(s, table);
  for (int i = 0; i < s->n * dplrSums(rank); i++) sums[i] = splat(0);
  for (int first = 0; first < count; first += DPLR_BLOCK * LANES) {
    int vectors = 0;
    for (int j = first; j < MIN(first + DPLR_BLOCK * LANES, count); j += LANES) {
      const Angles w = dplrAngles(j, length);
      cv gradient = {splat(0), splat(0)};
      for (int i = 0; i < MIN(LANES, count - j); i++) {
        gradient.re[i] = 0.5f * s->delta * dSpectrum[j + i].re;
        gradient.im[i] = 0.5f * s->delta * dSpectrum[j + i].im;
      }
      dplrPull(s, table, &w, gradient, &block[vectors++], rank);
    }
    for (int i = 0; i < s->n; i++) dplrPullState(table, s->n, i, block, vectors, sums + i * dplrSums(rank), rank);
  }
}

INLINE void giveState(float* to, int adds, long at, z1 v) {
  if (!to) return;
  to[2 * at] = adds ? to[2 * at] + v.re : v.re;
  to[2 * at + 1] = adds ? to[2 * at + 1] + v.im : v.im;
}
INLINE float realDot(z1 a, z1 b) { return a.re * b.re + a.im * b.im; }

KERNEL(dplrSpectrumBackward) {
  const DplrSpectrumBackward* a = arguments;
  const DplrSizes* z = &a->sizes;
  float* table = FLOATS(a->scratch) + thread * dplrBackScratch(z->n, z->rank);
  vf* sums = dplrBackSums(table, z->n, z->rank);
  float* dDelta = FLOATS(a->dDelta);
  for (int h = begin; h < end; h++) {
    const Dplr s = dplrChannel(z, h, FLOATS(a->lambda), FLOATS(a->P), FLOATS(a->B), FLOATS(a->C), FLOATS(a->delta));
    const z1* dSpectrum = (const z1*)FLOATS(a->dSpectrum) + (long)h * (z->length / 2 + 1);
    if (s.rank == 1) dplrSumsOf(&s, table, z->length, dSpectrum, sums, 1);
    else dplrSumsOf(&s, table, z->length, dSpectrum, sums, 2);
    float delta = 0;
    for (int i = 0; i < s.n; i++) {
      const DplrGradient d = dplrGradient(&s, i, sums + i * dplrSums(s.rank));
      const long at = (long)h * s.n + i;
      giveState(FLOATS(a->dLambda), a->accumulate & 1, at, d.lambda);
      giveState(FLOATS(a->dB), a->accumulate >> 2 & 1, at, d.B);
      giveState(FLOATS(a->dC), a->accumulate >> 3 & 1, at, d.C);
      delta += realDot(s.lambda[i], d.lambda) + realDot(s.B[i], d.B);
      for (int r = 0; r < s.rank; r++) {
        giveState(FLOATS(a->dP), a->accumulate >> 1 & 1, r * s.nextRank + at, d.P[r]);
        delta += 0.5f * realDot(s.P[r * s.nextRank + i], d.P[r]);
      }
    }
    if (dDelta) dDelta[h] = (a->accumulate >> 4 & 1 ? dDelta[h] : 0) + delta / s.delta;
  }
}
