// S4's spectrum, forward. A task is one channel: its table, then frequencies a vector at a time, each independent of
// the others. Traffic: the parameters and the spectrum, once; all time goes into the Cauchy sums (dplrSpectrum.h).
// Parallel over channels only.
#include "dplrSpectrum.h"

typedef struct {
  ref lambda, P, B, C, delta, spectrum, scratch;
  DplrSizes sizes;
} DplrSpectrum;

INLINE void dplrTransform(const Dplr* s, float* table, int length, z1* spectrum, const int rank) {
  const int count = length / 2 + 1;
  dplrTable(s, table);
  for (int j = 0; j < count; j += LANES) {
    const Angles w = dplrAngles(j, length);
    cv S[9], tB[2], tC[2];
    dplrCauchy(table, s->n, &w, S, rank);
    dplrWoodbury(S, 0.5f * s->delta * w.cosine, tB, tC, rank);
    cv k = S[0];
    UNROLL for (int r = 0; r < rank; r++) k = lessProduct(k, S[1 + r], tB[r]);
    k = scaled(times(k, (cv){w.cosine, w.sine}, 1), splat(0.5f * s->delta));
    for (int i = 0; i < MIN(LANES, count - j); i++) spectrum[j + i] = (z1){k.re[i], k.im[i]};
  }
}

KERNEL(dplrSpectrum) {
  const DplrSpectrum* a = arguments;
  const DplrSizes* z = &a->sizes;
  float* table = FLOATS(a->scratch) + thread * dplrTableSize(z->n, z->rank);
  for (int h = begin; h < end; h++) {
    const Dplr s = dplrChannel(z, h, FLOATS(a->lambda), FLOATS(a->P), FLOATS(a->B), FLOATS(a->C), FLOATS(a->delta));
    z1* spectrum = (z1*)FLOATS(a->spectrum) + (long)h * (z->length / 2 + 1);
    if (s.rank == 1) dplrTransform(&s, table, z->length, spectrum, 1);
    else dplrTransform(&s, table, z->length, spectrum, 2);
  }
}
