// The inverse transform of real sequences, and its backward, a forward one. A task is a vector of rows, which are its
// lanes; they are gathered once and scattered once. An even length is one complex transform of half of it: the values
// at even steps are the real parts, those at odd ones the imaginary parts. An odd length is a complex transform of all.
// Lengths of factors 2, 3 and 5 go by Stockham's algorithm, others by Bluestein's (math/fft.ts), at about six times the
// cost. Work: 2.5 length log₂ length a row. A row's buffers lie in the second-level cache up to a length of about 4096.
#include "fft.h"
#include "transpose.h"

typedef struct {
  int32_t pass, rows, length;
} RowsSizes;
typedef struct {
  ref X, y, scratch;
  RowsSizes sizes;
} InverseRealFft;
typedef struct {
  ref X, y, dy, dX;
  uint32_t accumulate;
  ref scratch;
  RowsSizes sizes;
} InverseRealFftBackward;

// size: of the complex transform; around: of Bluestein's convolution, 0 where it is not needed. Both also in
// inverseRealFft.ts. roots: e^(2πi k/(2 size)); of `around` the same; chirp: the spectrum of what is convolved with.
typedef struct {
  int length, size, around;
  float *roots, *aroundRoots, *chirp;
  cv *a, *b;  // of this thread, of max(size, around) + 1 each
} RowFft;

INLINE int aroundOf(int size) {
  int rest = size, around = 1;
  while (rest % 2 == 0) rest /= 2;
  while (rest % 3 == 0) rest /= 3;
  while (rest % 5 == 0) rest /= 5;
  while (around < 2 * size - 1) around *= 2;
  return rest == 1 ? 0 : around;
}

INLINE RowFft openRows(int length, float* scratch, int thread) {
  const int size = length % 2 == 0 ? length / 2 : length, around = aroundOf(size);
  float *aroundRoots = scratch + 4 * size, *chirp = aroundRoots + 4 * around;
  const long tables = (4 * size + 6 * around + 15) / 16 * 16, buffer = 2L * (MAX(size, around) + 1) * LANES;
  cv* own = (cv*)(scratch + tables + thread * 2 * buffer);
  return (RowFft){length, size, around, scratch, aroundRoots, chirp, own, own + MAX(size, around) + 1};
}

INLINE cv mirrored(cv z) { return (cv){z.re, -z.im}; }
INLINE cv rootOf(const float* roots, int k) { return (cv){splat(roots[2 * k]), splat(roots[2 * k + 1])}; }

// One pass of Stockham's: n / R transforms of R elements, each `stride` times.
INLINE void rowPass(const cv* from, cv* to, int n, int stride, const float* roots, const int R) {
  const int parts = n / R;
  for (int p = 0; p < parts; p++) {
    cv twiddle[R];
    UNROLL for (int k = 1; k < R; k++) twiddle[k] = rootOf(roots, 2 * k * p * stride);
    for (int q = 0; q < stride; q++) {
      cv f[R];
      UNROLL for (int k = 0; k < R; k++) f[k] = from[q + (long)stride * (p + parts * k)];
      dft(f, R, -1);
      to[q + (long)stride * R * p] = f[0];
      UNROLL for (int k = 1; k < R; k++) to[q + (long)stride * (R * p + k)] = times(f[k], twiddle[k], -1);
    }
  }
}

// The transform of a, of size n = 2^i 3^j 5^k, in a or b.
static cv* smoothFft(cv* a, cv* b, int n, const float* roots) {
  for (int left = n, stride = 1; left > 1;) {
    const int R = left % 4 == 0 ? 4 : left % 2 == 0 ? 2 : left % 3 == 0 ? 3 : 5;
    if (R == 4) rowPass(a, b, left, stride, roots, 4);
    else if (R == 2) rowPass(a, b, left, stride, roots, 2);
    else if (R == 3) rowPass(a, b, left, stride, roots, 3);
    else rowPass(a, b, left, stride, roots, 5);
    cv* const other = a;
    a = b, b = other;
    left /= R, stride *= R;
  }
  return a;
}

INLINE int chirpAt(int64_t t, int size) { return t * t % (2 * size); }

// The transform of x->a, of any size, in one of the two buffers.
static cv* rowFft(const RowFft* x) {
  const int n = x->size, around = x->around;
  if (!around) return smoothFft(x->a, x->b, n, x->roots);
  for (int t = 0; t < n; t++) x->a[t] = times(x->a[t], rootOf(x->roots, chirpAt(t, n)), -1);
  for (int t = n; t < around; t++) x->a[t] = (cv){splat(0), splat(0)};
  cv* z = smoothFft(x->a, x->b, around, x->aroundRoots);
  for (int k = 0; k < around; k++) z[k] = mirrored(times(z[k], rootOf(x->chirp, k), 1));
  z = smoothFft(z, z == x->a ? x->b : x->a, around, x->aroundRoots);
  for (int k = 0; k < n; k++) z[k] = times(mirrored(z[k]), rootOf(x->roots, chirpAt(k, n)), -1);
  return z;
}

INLINE void writeRoots(const RowFft* x, int begin, int end) {
  for (int k = begin; k < MIN(end, 2 * x->size); k++) rootOfUnity(k, 2 * x->size, x->roots + 2 * k);
  for (int k = MAX(begin, 2 * x->size); k < MIN(end, 2 * (x->size + x->around)); k++) {
    rootOfUnity(k - 2 * x->size, 2 * x->around, x->roots + 2 * k);
  }
}

// The spectrum of the conjugate chirp, over `around`: once for all rows.
static void writeChirp(const RowFft* x) {
  if (!x->around) return;
  for (int t = 0; t < x->around; t++) x->a[t] = (cv){splat(0), splat(0)};
  for (int t = 0; t < x->size; t++) {
    x->a[t] = rootOf(x->roots, chirpAt(t, x->size));
    if (t > 0) x->a[x->around - t] = x->a[t];
  }
  const cv* z = smoothFft(x->a, x->b, x->around, x->aroundRoots);
  for (int k = 0; k < x->around; k++) {
    x->chirp[2 * k] = z[k].re[0] / (float)x->around;
    x->chirp[2 * k + 1] = z[k].im[0] / (float)x->around;
  }
}

// From X to y in place of it: x->b holds X_0 … X_⌊length/2⌋, of which the result holds `length` vectors.
static vf* rowsInverse(const RowFft* x) {
  const int n = x->size;
  cv *X = x->b, *Z = x->a;
  const vf scale = splat(1.0f / (float)x->length);
  X[0].im = splat(0);
  if (x->length % 2 == 0) {
    X[n].im = splat(0);
    for (int k = 0; k < n; k++) {
      const cv other = mirrored(X[n - k]);
      const cv odd = times(minus(X[k], other), rootOf(x->roots, k), 1);
      Z[k] = scaled(mirrored(plusI(plus(X[k], other), odd, 1)), scale);
    }
  } else {
    Z[0] = scaled(X[0], scale);
    for (int k = 1; k <= n / 2; k++) {
      Z[k] = scaled(mirrored(X[k]), scale);
      Z[n - k] = mirrored(Z[k]);
    }
  }
  cv* z = rowFft(x);
  vf* y = (vf*)z;
  if (x->length % 2 == 0) for (int t = 0; t < n; t++) z[t] = mirrored(z[t]);
  else for (int t = 0; t < n; t++) y[t] = z[t].re;
  return y;
}

// From dy to dX: x->a holds the steps of dy, as pairs where the length is even.
static cv* rowsForward(const RowFft* x) {
  const int n = x->size;
  cv* Z = rowFft(x);
  cv* X = Z == x->a ? x->b : x->a;
  const vf one = splat(1.0f / (float)x->length), two = splat(2.0f / (float)x->length);
  if (x->length % 2 == 0) {
    Z[n] = Z[0];
    for (int k = 0; k <= n; k++) {
      const cv other = mirrored(Z[n - k]);
      const cv odd = times(minus(Z[k], other), k < n ? rootOf(x->roots, k) : (cv){splat(-1), splat(0)}, -1);
      X[k] = scaled(plusI(plus(Z[k], other), odd, -1), k == 0 || k == n ? 0.5f * one : one);
    }
  } else {
    for (int k = 0; k <= n / 2; k++) X[k] = scaled(Z[k], k == 0 ? one : two);
  }
  return X;
}

// Roots begin … end − 1, by the thousand.
enum { ROOTS_OF_TASK = 1024 };

KERNEL(inverseRealFftRoots) {
  const InverseRealFft* a = arguments;
  const RowFft x = openRows(a->sizes.length, FLOATS(a->scratch), thread);
  writeRoots(&x, begin * ROOTS_OF_TASK, end * ROOTS_OF_TASK);
}
KERNEL(inverseRealFftBackwardRoots) {
  const InverseRealFftBackward* a = arguments;
  const RowFft x = openRows(a->sizes.length, FLOATS(a->scratch), thread);
  writeRoots(&x, begin * ROOTS_OF_TASK, end * ROOTS_OF_TASK);
}

KERNEL(inverseRealFftChirp) {
  const InverseRealFft* a = arguments;
  const RowFft x = openRows(a->sizes.length, FLOATS(a->scratch), thread);
  if (begin < end) writeChirp(&x);
}
KERNEL(inverseRealFftBackwardChirp) {
  const InverseRealFftBackward* a = arguments;
  const RowFft x = openRows(a->sizes.length, FLOATS(a->scratch), thread);
  if (begin < end) writeChirp(&x);
}

KERNEL(inverseRealFft) {
  const InverseRealFft* a = arguments;
  const RowFft x = openRows(a->sizes.length, FLOATS(a->scratch), thread);
  const int width = 2 * (x.length / 2 + 1);
  for (int i = begin; i < end; i++) {
    const int count = MIN(LANES, a->sizes.rows - i * LANES);
    gatherChannels(FLOATS(a->X) + (long)i * LANES * width, count, width, (float*)x.b, LANES);
    const vf* y = rowsInverse(&x);
    scatterChannels((const float*)y, LANES, FLOATS(a->y) + (long)i * LANES * x.length, count, x.length, 0);
  }
}

KERNEL(inverseRealFftBackward) {
  const InverseRealFftBackward* a = arguments;
  const RowFft x = openRows(a->sizes.length, FLOATS(a->scratch), thread);
  const int width = 2 * (x.length / 2 + 1);
  for (int i = begin; i < end; i++) {
    const int count = MIN(LANES, a->sizes.rows - i * LANES);
    gatherChannels(FLOATS(a->dy) + (long)i * LANES * x.length, count, x.length, (float*)x.a, LANES);
    if (x.length % 2 == 1) {
      for (int t = x.length - 1; t >= 0; t--) x.a[t] = (cv){((vf*)x.a)[t], splat(0)};
    }
    const cv* X = rowsForward(&x);
    float* to = FLOATS(a->dX) + (long)i * LANES * width;
    scatterChannels((const float*)X, LANES, to, count, width, a->accumulate & 1);
  }
}
