// C from C̃. The mean of C̃ (I − Ā ω)⁻¹ over the roots of unity is what the backward of the filter gives B for a gradient
// of e^(−iθ/2)/length at every frequency, so it is that backward; then C = r (I − Δ/2 A). A task is one channel.
#include "dplrSpectrumBackward.h"

typedef struct {
  ref lambda, P, Ctilde, delta, C, scratch;
  DplrSizes sizes;
} DplrReadout;

INLINE void dplrMeanOf(const Dplr* s, float* table, int length, vf* sums, const int rank) {
  const int count = length / 2 + 1;
  Pulled block[DPLR_BLOCK];
  dplrTable(s, table);
  for (int i = 0; i < s->n * dplrSums(rank); i++) sums[i] = splat(0);
  for (int first = 0; first < count; first += DPLR_BLOCK * LANES) {
    int vectors = 0;
    for (int j = first; j < MIN(first + DPLR_BLOCK * LANES, count); j += LANES) {
      const Angles w = dplrAngles(j, length);
      const vi alone = (w.j == 0) | (2 * w.j == length);  // the others stand for two
      const vf weight = where(w.j < count, where(alone, splat(0.25f), splat(0.5f)), splat(0)) / splat(length);
      dplrPull(s, table, &w, (cv){weight, splat(0)}, &block[vectors++], rank);
    }
    for (int i = 0; i < s->n; i++) dplrPullState(table, s->n, i, block, vectors, sums + i * dplrSums(rank), rank);
  }
}

KERNEL(dplrReadout) {
  const DplrReadout* a = arguments;
  const DplrSizes* z = &a->sizes;
  float* table = FLOATS(a->scratch) + thread * dplrBackScratch(z->n, z->rank);
  vf* sums = dplrBackSums(table, z->n, z->rank);
  for (int h = begin; h < end; h++) {
    const Dplr s = dplrChannel(z, h, FLOATS(a->lambda), FLOATS(a->P), 0, FLOATS(a->Ctilde), FLOATS(a->delta));
    if (s.rank == 1) dplrMeanOf(&s, table, z->length, sums, 1);
    else dplrMeanOf(&s, table, z->length, sums, 2);
    z1* C = (z1*)FLOATS(a->C) + (long)h * s.n;
    float reads[2] = {0, 0};
    for (int i = 0; i < s.n; i++) {
      C[i] = zConjugate(dplrGradient(&s, i, sums + i * dplrSums(s.rank)).B);
      for (int r = 0; r < s.rank; r++) reads[r] += 2.0f * zTimes(C[i], s.P[r * s.nextRank + i]).re;
    }
    for (int i = 0; i < s.n; i++) {
      z1 low = zTimes(C[i], s.lambda[i]);
      for (int r = 0; r < s.rank; r++) {
        const z1 p = s.P[r * s.nextRank + i];
        zAdd(&low, (z1){-reads[r] * p.re, reads[r] * p.im});
      }
      zAdd(&C[i], (z1){-0.5f * s.delta * low.re, -0.5f * s.delta * low.im});
    }
  }
}
