// The filter of diagonal systems as a product of matrices: position l = 64 j + s, and
//   K[64 j + s] = Re Σₙ (2 C B̄ Ā⁶⁴ʲ) (Āˢ)
// so that no power is the product of many rounded ones: rows C B̄ Ā⁶⁴ʲ are a chain in double precision, the 64 powers
// Āˢ products of at most six floats, rounded once each from doubles. Floor: 2 multiply-adds per (mode, position)
// forward, 4 backward; beside them about 64 + length/64 complex products per mode, and one exponential.
// A task is a channel, in blocks of 32 modes that the first-level cache holds. Traffic: length floats a channel.
#include "diagonalSystem.h"

enum {
  FILTER_MODES = 32,                      // of a block; also in diagonalFilter.ts, as is FILTER_SPAN
  FILTER_SPAN = 64,                       // positions of a row
  FILTER_BITS = 6,                        // FILTER_SPAN = 2^FILTER_BITS
  FILTER_TILE = VB == 64 ? 4 : 2,         // vectors of a row whose sums are in registers
};

typedef struct {
  ref lambda, B, C, delta, K, scratch;
  int32_t pass, channels, n, length, bilinear;
} DiagonalFilter;

typedef struct {
  ref lambda, B, C, delta, K, dK, dLambda, dB, dC, dDelta;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, channels, n, length, bilinear;
} DiagonalFilterBackward;

INLINE int filterRows(int length) { return (length + FILTER_SPAN - 1) / FILTER_SPAN; }

// powers: re and im of Āˢ for each mode, rows of FILTER_SPAN. Returns Ā⁶⁴.
INLINE vc fillPowers(vc A, float* powers) {
  float squares[FILTER_BITS][LANES];  // Ā^(2^b), pairs
  for (int b = 0; b < FILTER_BITS; b++, A = timesC(A, A)) store(squares[b], zipC(A));
  for (int i = 0; i < PAIRS; i++, powers += 2 * FILTER_SPAN) {
    vf re = splat(1), im = splat(0);
    int b = 0;
    for (; 1 << b < LANES; b++) {  // lanes with bit b set are multiplied by Ā^(2^b)
      const vi bit = (laneIndex() >> b & 1) == 1;
      const vf fr = where(bit, splat(squares[b][2 * i]), splat(1));
      const vf fi = (vf)((vi)splat(squares[b][2 * i + 1]) & bit);
      const vf r = fma_(re, fr, -(im * fi));
      im = fma_(re, fi, im * fr);
      re = r;
    }
    store(powers, re);
    store(powers + FILTER_SPAN, im);
    for (int done = LANES; done < FILTER_SPAN; done *= 2, b++) {
      const vf fr = splat(squares[b][2 * i]), fi = splat(squares[b][2 * i + 1]);
      for (int s = 0; s < done; s += LANES) {
        re = load(powers + s), im = load(powers + FILTER_SPAN + s);
        store(powers + done + s, fma_(re, fr, -(im * fi)));
        store(powers + FILTER_SPAN + done + s, fma_(re, fi, im * fr));
      }
    }
  }
  return A;
}

// `rows` rows of K from j on, `FILTER_TILE` vectors from s on: the sums over `modes` modes go on from what is there, or from 0.
INLINE void filterTile(float* K, int left, const float* row, const float* powers, int modes, int adds, const int rows) {
  vf sum[4][FILTER_TILE];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < FILTER_TILE; v++) {
    const int at = i * FILTER_SPAN + v * LANES;
    sum[i][v] = adds && at < left ? loadUpTo(K + at, left - at) : splat(0);
  }
  for (int k = 0; k < 2 * modes; k++, row++, powers += FILTER_SPAN) {
    vf p[FILTER_TILE];
    UNROLL for (int v = 0; v < FILTER_TILE; v++) p[v] = load(powers + v * LANES);
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < FILTER_TILE; v++) {
      sum[i][v] = fma_(splat(row[i * 2 * FILTER_MODES]), p[v], sum[i][v]);
    }
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < FILTER_TILE; v++) {
    const int at = i * FILTER_SPAN + v * LANES;
    if (at < left) storeUpTo(K + at, sum[i][v], left - at);
  }
}

KERNEL(diagonalFilter) {
  const DiagonalFilter* a = arguments;
  const int n = a->n, length = a->length, rows = filterRows(length);
  float* powers = FLOATS(a->scratch) + (long)thread * (2 * FILTER_MODES * FILTER_SPAN + rows * 2 * FILTER_MODES);
  float* row = powers + 2 * FILTER_MODES * FILTER_SPAN;
  for (int h = begin; h < end; h++) {
    float* K = FLOATS(a->K) + (long)h * length;
    for (int first = 0; first < n; first += FILTER_MODES) {
      const int modes = MIN(FILTER_MODES, n - first);
      for (int k = 0; k < modes; k += PAIRS) {
        const int i = 2 * (h * n + first + k), pairs = n - first - k;
        const Modes m = modesOf(loadC(FLOATS(a->lambda) + i, pairs), FLOATS(a->delta)[h], a->bilinear);
        const vc Bbar = timesC(m.g, loadC(FLOATS(a->B) + i, pairs));
        vc weight = scaleC(splatD(2), timesC(loadC(FLOATS(a->C) + i, pairs), Bbar));
        const vc stride = fillPowers(m.A, powers + 2 * k * FILTER_SPAN);
        for (int j = 0; j < rows; j++, weight = timesC(weight, stride)) {
          store(row + j * 2 * FILTER_MODES + 2 * k, zipC(conjugateC(weight)));  // Re w p = Re w Re p − Im w Im p
        }
      }
      for (int s = 0; s < FILTER_SPAN; s += FILTER_TILE * LANES) {
        int j = 0;
        for (; j + 4 <= rows; j += 4) {
          const int at = j * FILTER_SPAN + s;
          filterTile(K + at, length - at, row + j * 2 * FILTER_MODES, powers + s, modes, first > 0, 4);
        }
        for (; j < rows; j++) {
          const int at = j * FILTER_SPAN + s;
          filterTile(K + at, length - at, row + j * 2 * FILTER_MODES, powers + s, modes, first > 0, 1);
        }
      }
    }
  }
}

// Of one mode: T = Σ w[l] Āˡ and Σ l w[l] Āˡ as four floats. w: rows of FILTER_SPAN; row: Ā⁶⁴ʲ, and LANES further j Ā⁶⁴ʲ.
// The sums over j come first, for each s: U = Σ w Ā⁶⁴ʲ and V = Σ j w Ā⁶⁴ʲ; then Σ Āˢ U and Σ Āˢ (s U + 64 V).
INLINE void filterSums(const float* w, int rows, const float* row, const float* powers, float* sums) {
  vf total[4] = {0};
  for (int s = 0; s < FILTER_SPAN; s += FILTER_TILE * LANES) {
    vf U[4][FILTER_TILE] = {0};  // re and im of U, then of V
    const float* at = row;
    for (int j = 0; j < rows; j++, at += 2 * LANES) {
      UNROLL for (int v = 0; v < FILTER_TILE; v++) {
        const vf x = load(w + j * FILTER_SPAN + s + v * LANES);
        UNROLL for (int k = 0; k < 4; k++) U[k][v] = fma_(splat(at[k / 2 * LANES + k % 2]), x, U[k][v]);
      }
    }
    UNROLL for (int v = 0; v < FILTER_TILE; v++) {
      const vf re = load(powers + s + v * LANES), im = load(powers + FILTER_SPAN + s + v * LANES);
      const vf place = __builtin_convertvector(laneIndex(), vf) + (float)(s + v * LANES);
      const vf Vr = fma_(place, U[0][v], U[2][v] * (float)FILTER_SPAN), Vi = fma_(place, U[1][v], U[3][v] * (float)FILTER_SPAN);
      total[0] = fma_(re, U[0][v], fma_(-im, U[1][v], total[0]));
      total[1] = fma_(re, U[1][v], fma_(im, U[0][v], total[1]));
      total[2] = fma_(re, Vr, fma_(-im, Vi, total[2]));
      total[3] = fma_(re, Vi, fma_(im, Vr, total[3]));
    }
  }
  UNROLL for (int k = 0; k < 4; k++) sums[k] = sumLanes(total[k]);
}

// Σ dK[l] l Āˡ⁻¹ is taken over dK[l + 1], since Ā may be 0: S = dK[0] + Ā T, and its slope by Ā is T + Σ l dK[l+1] Āˡ.
KERNEL(diagonalFilterBackward) {
  const DiagonalFilterBackward* a = arguments;
  const int n = a->n, length = a->length, rows = filterRows(length), adds = a->accumulate;
  float* powers = FLOATS(a->scratch) + (long)thread * (LANES * FILTER_SPAN + rows * (2 * LANES + FILTER_SPAN));
  float *row = powers + LANES * FILTER_SPAN, *w = row + rows * 2 * LANES;
  const SystemGradients d = {FLOATS(a->dLambda), FLOATS(a->dB), FLOATS(a->dC), FLOATS(a->dDelta),
                             adds & 1, adds >> 1 & 1, adds >> 2 & 1, adds >> 3 & 1};
  for (int h = begin; h < end; h++) {
    const float* dK = FLOATS(a->dK) + (long)h * length;
    for (int l = 0; l < rows * FILTER_SPAN; l++) w[l] = l + 1 < length ? dK[l + 1] : 0;
    double dDelta = 0;
    for (int k = 0; k < n; k += PAIRS) {
      const int i = h * n + k, pairs = n - k;
      const Modes m = modesOf(loadC(FLOATS(a->lambda) + 2 * i, pairs), FLOATS(a->delta)[h], a->bilinear);
      const vc stride = fillPowers(m.A, powers);
      vc power = realC(1);
      for (int j = 0; j < rows; j++, power = timesC(power, stride)) {
        store(row + j * 2 * LANES, zipC(power));
        store(row + j * 2 * LANES + LANES, zipC(scaleC(splatD(j), power)));
      }
      vc T = realC(0), Tl = realC(0);
      for (int p = 0; p < MIN(pairs, PAIRS); p++) {
        float sums[4];
        filterSums(w, rows, row + 2 * p, powers + 2 * p * FILTER_SPAN, sums);
        T.re[p] = sums[0], T.im[p] = sums[1], Tl.re[p] = sums[2], Tl.im[p] = sums[3];
      }
      const vc S = scaleC(splatD(2), plusC(realC(dK[0]), timesC(m.A, T)));
      const vc slope = scaleC(splatD(2), plusC(T, Tl));
      const vc B = loadC(FLOATS(a->B) + 2 * i, pairs), C = loadC(FLOATS(a->C) + 2 * i, pairs), Bbar = timesC(m.g, B);
      giveC(d.C, d.addsC, i, timesC(Bbar, S), pairs);
      dDelta += giveModes(&d, &m, B, timesC(timesC(C, Bbar), slope), timesC(C, S), i, pairs);
    }
    giveDelta(&d, h, dDelta);
  }
}
