// Polynomials modulo x^M − i, sixteen channels side by side, and their products. As x^M = i, what a product of two real
// polynomials has beyond x^(M − 1) comes out as imaginary part: their convolution, with no padding. Against a complex
// transform of zero-padded sequences this takes half the elements, for one sequence alone: bits do not depend on what
// else is in the batch.
//
// x^M − ρ = Π_k (x^(M/R) − r e^(2πik/R)) with r^R = ρ: split takes a polynomial to its remainders modulo these factors,
// level by level down to M numbers, its values at the roots of x^M = i; join is the way back, times M. The values come
// in the order of the tree, which a product does not mind, and all elements of a node have their factors r, r² … in
// common. A subtree is finished before the next one begins: what fits the first-level cache stays there.
#pragma once
#include "complexVector.h"
#include "rows.h"

// An element is the real parts of sixteen channels, a cache line, then the imaginary ones. Subtrees of up to FFT_NEAR
// elements go level by level. Channels also in fftConv.ts.
enum { FFT_CHANNELS = 16, FFT_ELEMENT = 2 * FFT_CHANNELS, FFT_NEAR = 128, FFT_AHEAD = 4, FFT_LEVELS = 24 };

INLINE cv loadElement(const float* p) { return (cv){load(p), load(p + FFT_CHANNELS)}; }
INLINE void storeElement(float* p, cv z) {
  store(p, z.re);
  store(p + FFT_CHANNELS, z.im);
}

// The least M for sequences of `length` numbers: 2^a · (1, 3, 5, 9, 15 or 45), a ≥ 4; also in fftConv.ts.
INLINE int fftSize(int length) {
  static const int odd[] = {1, 3, 5, 9, 15, 45};
  int best = 0;
  for (int k = 0; k < 6; k++) {
    int size = 16 * odd[k];
    while (size < length) size *= 2;
    if (k == 0 || size < best) best = size;
  }
  return best;
}

// Level l has nodes of radix[l] · span[l] elements; the last level is of radix 4 and span 1. Of each node, r … r^(R−1).
typedef struct {
  int size, last;
  int radix[FFT_LEVELS], span[FFT_LEVELS];
  const float* roots[FFT_LEVELS];
} Tree;

// roots: 2M floats, as fftRoots writes them.
INLINE Tree fftTree(int size, const float* roots) {
  Tree tree = {.size = size};
  for (int level = 0, nodes = 1;; level++) {
    const int left = size / nodes, twos = left / 4;
    const int radix = left == 4 ? 4 : left % 3 == 0 ? 3 : left % 5 == 0 ? 5 : twos & 0x55555555 ? 4 : 2;
    tree.radix[level] = radix;
    tree.span[level] = left / radix;
    tree.roots[level] = roots + 2 * (nodes - 1);
    tree.last = level;
    if (left == 4) return tree;
    nodes *= radix;
  }
}

INLINE int fftNodes(const Tree* tree, int level) { return tree->size / (tree->radix[level] * tree->span[level]); }

// ± 1/n!, signs as in the series of cosine and sine.
static const double inverseFactorials[] = {
    1.0, 1.0, -1.0 / 2, -1.0 / 6, 1.0 / 24, 1.0 / 120, -1.0 / 720, -1.0 / 5040, 1.0 / 40320, 1.0 / 362880,
    -1.0 / 3628800, -1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0, -1.0 / 87178291200.0, -1.0 / 1307674368000.0};

// e^(2πi a/b) in double precision, by the series for the angle left after quarters, at most π/4.
INLINE void rootOfUnity(int64_t a, int64_t b, float* to) {
  const int64_t quarters = (8 * a + b) / (2 * b);
  const double x = 1.57079632679489661923 * (double)(4 * a - quarters * b) / (double)b, z = x * x;
  double cosine = 0, sine = 0;
  UNROLL for (int n = 7; n >= 0; n--) {
    cosine = cosine * z + inverseFactorials[2 * n];
    sine = sine * z + inverseFactorials[2 * n + 1];
  }
  sine *= x;
  to[0] = quarters % 4 == 0 ? cosine : quarters % 4 == 1 ? -sine : quarters % 4 == 2 ? -cosine : sine;
  to[1] = quarters % 4 == 0 ? sine : quarters % 4 == 1 ? cosine : quarters % 4 == 2 ? -sine : -cosine;
}

// The factors of nodes begin ≤ n < end, counted through all levels; there are fewer than M / 2. A node whose children
// have roots of ρ at (1/4 + q)/P of the circle is reached by digits k of q: q = k₀ + k₁ R₀ + k₂ R₀ R₁ + …
INLINE void fftRoots(const Tree* tree, float* roots, int begin, int end) {
  for (int level = 0, first = 0; level <= tree->last; level++) {
    const int radix = tree->radix[level], nodes = fftNodes(tree, level);
    for (int node = MAX(0, begin - first); node < MIN(nodes, end - first); node++) {
      int64_t q = 0;
      for (int l = level - 1, rest = node; l >= 0; rest /= tree->radix[l], l--) {
        q += (int64_t)(rest % tree->radix[l]) * fftNodes(tree, l);
      }
      float* to = roots + 2 * (nodes - 1) + 2 * (radix - 1) * node;
      const int64_t circle = (int64_t)4 * nodes * radix;
      for (int j = 1; j < radix; j++) rootOfUnity(j * (1 + 4 * q) % circle, circle, to + 2 * (j - 1));
    }
    first += nodes;
  }
}

// f[k] = Σ_j f[j] e^(± 2πi jk/R).
INLINE void dft(cv* f, const int R, const int sign) {
  if (R == 2) {
    const cv a = f[0], b = f[1];
    f[0] = plus(a, b), f[1] = minus(a, b);
  } else if (R == 4) {
    const cv a = plus(f[0], f[2]), b = minus(f[0], f[2]), c = plus(f[1], f[3]), d = minus(f[1], f[3]);
    f[0] = plus(a, c), f[1] = plusI(b, d, sign), f[2] = minus(a, c), f[3] = plusI(b, d, -sign);
  } else {
    static const float cosines[2][5] = {{1, -0.5f, -0.5f}, {1, 0.309016994f, -0.809016994f, -0.809016994f, 0.309016994f}};
    static const float sines[2][5] = {{0, 0.866025404f, -0.866025404f},
                                      {0, 0.951056516f, 0.587785252f, -0.587785252f, -0.951056516f}};
    const float *cosine = cosines[R == 5], *sine = sines[R == 5];
    cv even[3], odd[3], first = f[0];
    UNROLL for (int j = 1; j <= R / 2; j++) {
      even[j] = plus(f[j], f[R - j]), odd[j] = minus(f[j], f[R - j]);
      first = plus(first, even[j]);
    }
    UNROLL for (int k = 1; k <= R / 2; k++) {
      cv a = f[0], b = scaled(odd[1], splat(sine[k]));
      UNROLL for (int j = 1; j <= R / 2; j++) {
        const vf c = splat(cosine[j * k % R]), s = splat(sine[j * k % R]);
        a = (cv){fma_(even[j].re, c, a.re), fma_(even[j].im, c, a.im)};
        if (j > 1) b = (cv){fma_(odd[j].re, s, b.re), fma_(odd[j].im, s, b.im)};
      }
      f[k] = plusI(a, b, sign), f[R - k] = plusI(a, b, -sign);
    }
    f[0] = first;
  }
}

INLINE cv rootAt(const float* roots, int j) { return (cv){splat(roots[2 * j - 2]), splat(roots[2 * j - 1])}; }

// f[k] = Σ_j f[j] (r e^(2πik/R))^j, and R times the way back.
INLINE void split(cv* f, const float* roots, const int R) {
  UNROLL for (int j = 1; j < R; j++) f[j] = times(f[j], rootAt(roots, j), 1);
  dft(f, R, 1);
}
INLINE void join(cv* f, const float* roots, const int R) {
  dft(f, R, -1);
  UNROLL for (int j = 1; j < R; j++) f[j] = times(f[j], rootAt(roots, j), -1);
}
