// What S4's spectrum, its backward and its readout share: the Cauchy sums of one vector of frequencies.
//
// With x = Δ/2 Λ = α + iβ, both of a conjugate pair have one denominator, and real numerators (ops/dplrSpectrum.ts; s, c:
// sine and cosine of θ/2):
//   v / E + v̄ / E′ = (c p + i s q) g        g = 1 / (c² |x|² − s² − 2 i s c α)        p = −2 Re(v x̄), q = 2 Re v
// so a pair costs one complex reciprocal, 10 operations with its division, and each product v four multiply-adds. The
// products v are of C, P̄₁ … with B, P₁ …: (rank + 1)², that is 26 operations a pair and frequency for rank 1, 46 for
// rank 2. Lanes are frequencies. c² |x|² − s² is formed as (c |x| − s)(c |x| + s), in which only c, s and |x| are rounded.
#pragma once
#include "complexVector.h"
#include "rows.h"

// States whose g lie in the first-level cache together.
enum { DPLR_STATES = 64 };

// One complex number.
typedef struct {
  float re, im;
} z1;

INLINE z1 zTimes(z1 a, z1 b) { return (z1){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
INLINE z1 zConjugate(z1 a) { return (z1){a.re, -a.im}; }
INLINE void zAdd(z1* sum, z1 a) { sum->re += a.re, sum->im += a.im; }

// One channel. B: null counts as 0.
typedef struct {
  const z1 *lambda, *P, *B, *C;
  float delta;
  int n, rank;
  long nextRank;  // from P₁ to P₂
} Dplr;

typedef struct {
  int32_t pass, channels, n, rank, length;
} DplrSizes;

INLINE Dplr dplrChannel(const DplrSizes* a, int h, const float* lambda, const float* P, const float* B, const float* C,
                        const float* delta) {
  const long at = (long)h * a->n;
  return (Dplr){(const z1*)lambda + at, (const z1*)P + at,  B ? (const z1*)B + at : 0,
                (const z1*)C + at,      delta[h],          a->n,
                a->rank,                (long)a->channels * a->n};
}

// The factors of the products v: left C, P̄₁, P̄₂, right B, P₁, P₂.
INLINE z1 dplrLeft(const Dplr* s, int l, int i) {
  return l == 0 ? s->C[i] : zConjugate(s->P[(l - 1) * s->nextRank + i]);
}
INLINE z1 dplrRight(const Dplr* s, int r, int i) {
  if (r == 0) return s->B ? s->B[i] : (z1){0, 0};
  return s->P[(r - 1) * s->nextRank + i];
}

// Products go two by two, the last of nine with zeros. Table of a channel: |x| and α of each state, then for each two
// products p, q, p, q of each state. Its floats; also in dplrSpectrum.ts.
INLINE int dplrCouples(int rank) { return rank == 1 ? 2 : 5; }
INLINE long dplrTableSize(int n, int rank) { return (long)n * (2 + 4 * dplrCouples(rank)); }

INLINE float* dplrCouple(float* table, int n, int couple) { return table + 2 * n + (long)couple * n * 4; }

static void dplrTable(const Dplr* s, float* table) {
  const int side = s->rank + 1, products = side * side;
  for (int i = 0; i < s->n; i++) {
    const float alpha = 0.5f * s->delta * s->lambda[i].re, beta = 0.5f * s->delta * s->lambda[i].im;
    table[2 * i] = __builtin_sqrtf(alpha * alpha + beta * beta);
    table[2 * i + 1] = alpha;
    for (int v = 0; v < 2 * dplrCouples(s->rank); v++) {
      const z1 product = v < products ? zTimes(dplrLeft(s, v / side, i), dplrRight(s, v % side, i)) : (z1){0, 0};
      float* to = dplrCouple(table, s->n, v / 2) + 4 * i + v % 2 * 2;
      to[0] = -2.0f * (alpha * product.re + beta * product.im);
      to[1] = 2.0f * product.re;
    }
  }
}

// sin πx, 0 ≤ x ≤ ½, relative error below 1.5e-7.
INLINE vf sinPi(vf x) {
  const vf z = x * x;
  vf p = splat(7.76559123e-2f);
  p = fma_(p, z, splat(-5.98290411e-1f));
  p = fma_(p, z, splat(2.55007739f));
  p = fma_(p, z, splat(-5.16771008f));
  p = fma_(p, z, splat(3.14159264f));
  return p * x;
}

// Frequencies j, j + 1, …; past the last one, the last again. cosine: exactly 0 at ω = −1.
typedef struct {
  vf cosine, sine;
  vi j;
} Angles;

INLINE Angles dplrAngles(int j, int length) {
  const vi own = laneIndex() + j, last = (vi){0} + length / 2, over = own > last;
  const vi at = (own & ~over) | (last & over);
  const vf span = splat(2.0f * length);
  return (Angles){sinPi(__builtin_convertvector(length - 2 * at, vf) / span),
                  sinPi(__builtin_convertvector(2 * at, vf) / span), own};
}

// g of a state.
INLINE cv dplrPole(const float* state, vf cosine, vf sine, vf sine2) {
  const vf size = splat(state[0]);
  const vf re = fma_(cosine, size, -sine) * fma_(cosine, size, sine), im = sine2 * splat(state[1]);
  const vf scale = 1.0f / fma_(re, re, im * im);
  return (cv){re * scale, im * scale};
}

// The sums over all states: S[l (rank + 1) + r] of left l and right r.
INLINE void dplrCauchy(float* table, int n, const Angles* w, cv* S, const int rank) {
  const int products = (rank + 1) * (rank + 1), couples = dplrCouples(rank);
  const vf sine2 = 2.0f * w->cosine * w->sine;
  vf sums[5][8];
  for (int k = 0; k < couples; k++) UNROLL for (int i = 0; i < 8; i++) sums[k][i] = splat(0);
  for (int first = 0; first < n; first += DPLR_STATES) {
    const int count = MIN(DPLR_STATES, n - first);
    cv g[DPLR_STATES];
    for (int i = 0; i < count; i++) g[i] = dplrPole(table + 2 * (first + i), w->cosine, w->sine, sine2);
    for (int k = 0; k < couples; k++) {
      const float* own = dplrCouple(table, n, k) + 4 * first;
      vf s[8];
      UNROLL for (int i = 0; i < 8; i++) s[i] = sums[k][i];
      for (int i = 0; i < count; i++, own += 4) {
        UNROLL for (int c = 0; c < 4; c++) {
          s[2 * c] = fma_(g[i].re, splat(own[c]), s[2 * c]);
          s[2 * c + 1] = fma_(g[i].im, splat(own[c]), s[2 * c + 1]);
        }
      }
      UNROLL for (int i = 0; i < 8; i++) sums[k][i] = s[i];
    }
  }
  for (int v = 0; v < products; v++) {
    const vf* s = sums[v / 2] + v % 2 * 4;
    S[v].re = fma_(w->cosine, s[0], -(w->sine * s[3]));
    S[v].im = fma_(w->cosine, s[1], w->sine * s[2]);
  }
}

// Woodbury: of S as a matrix, tB = κ (I + κ S₁₁)⁻¹ S₁₀ and tC = κ S₀₁ (I + κ S₁₁)⁻¹; C M⁻¹ B is S₀₀ − S₀₁ tB.
INLINE void dplrWoodbury(const cv* S, vf kappa, cv* tB, cv* tC, const int rank) {
  if (rank == 1) {
    const cv inverse = scaled(inverseOf((cv){fma_(kappa, S[3].re, splat(1)), kappa * S[3].im}), kappa);
    tB[0] = times(S[2], inverse, 1);
    tC[0] = times(S[1], inverse, 1);
  } else {
    const cv a = {fma_(kappa, S[4].re, splat(1)), kappa * S[4].im}, b = scaled(S[5], kappa);
    const cv c = scaled(S[7], kappa), d = {fma_(kappa, S[8].re, splat(1)), kappa * S[8].im};
    const cv inverse = scaled(inverseOf(lessProduct(times(a, d, 1), b, c)), kappa);
    tB[0] = times(lessProduct(times(d, S[3], 1), b, S[6]), inverse, 1);
    tB[1] = times(lessProduct(times(a, S[6], 1), c, S[3]), inverse, 1);
    tC[0] = times(lessProduct(times(d, S[1], 1), c, S[2]), inverse, 1);
    tC[1] = times(lessProduct(times(a, S[2], 1), b, S[1]), inverse, 1);
  }
}
