// Long convolution, forward and backward, as products of the transforms of fft.h. Tasks are sixteen channels of one
// sequence. First the roots, then the transforms of the filters, made once for all sequences; D is part of the first
// tap. Forward a task transforms its sequence, multiplies and comes back, all in M elements of its own. Backward the
// filter is conjugated, and dfilter is the sum over sequences of conj(û) dŷ: added up in groups of eight sequences, then
// over groups, and transformed back once; its first tap is also dD.
// Traffic: 2 floats an element forward, 3 backward, and where the own elements (128 M bytes, backward 256 M) exceed the
// second-level cache, as many times that as levels do. Parallel over channels / 16 · batch, backward batch / 8: slow
// for few channels.
#include "fftConv.h"

enum { ROOTS, FILTERS, SEQUENCES, SUMS, FFT_GROUP = 8, FFT_ROOTS = 64, FFT_CHUNK = 16 };  // also in fftConv.ts

typedef struct {
  float *filter, *D, *future;
  int filterLength, futureLength;
} Filters;

// Sizes, and where in scratch lie the roots, the transforms of the filters, those of the sums, and what each thread has.
typedef struct {
  int batch, length, channels, blocks, groups, taps, futureTaps;
  Tree tree;
  float *roots, *spectra, *sums, *own;
} LongConv;

INLINE LongConv openLongConv(int batch, int length, int channels, const Filters* f, int backward, float* scratch) {
  LongConv c = {.batch = batch, .length = length, .channels = channels};
  c.blocks = (channels + FFT_CHANNELS - 1) / FFT_CHANNELS;
  c.groups = backward ? (batch + FFT_GROUP - 1) / FFT_GROUP : 0;
  c.taps = MIN(f->filterLength, length);
  c.futureTaps = MIN(f->futureLength, length - 1);
  const int size = fftSize(length);
  const long elements = (long)size * FFT_ELEMENT;
  c.tree = fftTree(size, scratch);
  c.roots = scratch;
  c.spectra = c.roots + 2 * size;
  const int apart = batch > 1;  // the sums of one sequence lie where its filters were
  c.sums = c.spectra + apart * c.blocks * elements;
  c.own = c.spectra + (1 + apart * c.groups) * c.blocks * elements;
  return c;
}

INLINE int channelsOf(const LongConv* c, int block) { return MIN(FFT_CHANNELS, c->channels - block * FFT_CHANNELS); }

INLINE Transform transformOf(const LongConv* c, int block) {
  return (Transform){c->tree, (channelsOf(c, block) + LANES - 1) / LANES, {0}};
}

INLINE Signal signalOf(const LongConv* c, float* tensor, int b, int block, int adds) {
  float* at = tensor ? tensor + (long)b * c->length * c->channels + block * FFT_CHANNELS : 0;
  return (Signal){at, c->channels, c->length, channelsOf(c, block), adds};
}

// Tap t of the polynomial of a filter lies in its element t mod M; x^−s = −x^(2M − s) for the future.
INLINE float* tapAt(const LongConv* c, float* elements, int t, int channel) {
  const int imaginary = t >= c->tree.size;
  return elements + (long)(t - imaginary * c->tree.size) * FFT_ELEMENT + imaginary * FFT_CHANNELS + channel;
}

// The transforms of the filters of a block, over M because join is M times the way back.
static void transformFilters(const LongConv* c, const Filters* f, int block) {
  float* elements = c->spectra + (long)block * c->tree.size * FFT_ELEMENT;
  const float scale = 1.0f / c->tree.size;
  for (long i = 0; i < (long)c->tree.size * FFT_ELEMENT; i += LANES) store(elements + i, splat(0));
  for (int from = 0; from < c->length; from += FFT_CHUNK) {
    for (int channel = 0; channel < channelsOf(c, block); channel++) {
      const long row = block * FFT_CHANNELS + channel;
      for (int s = from; s < MIN(from + FFT_CHUNK, c->taps); s++) {
        *tapAt(c, elements, s, channel) = f->filter[row * f->filterLength + s] * scale;
      }
      for (int s = from; s < MIN(from + FFT_CHUNK, c->futureTaps); s++) {
        *tapAt(c, elements, 2 * c->tree.size - 1 - s, channel) = -f->future[row * f->futureLength + s] * scale;
      }
      if (from == 0 && f->D) *tapAt(c, elements, 0, channel) += f->D[row] * scale;
    }
  }
  const Transform x = transformOf(c, block);
  transform(&x, 0, 0, 1, elements);
}

static void convolveLong(const LongConv* c, float* u, float* y, int b, int block, float* own) {
  Transform x = transformOf(c, block);
  x.work = (Work){.filter = c->spectra + (long)block * c->tree.size * FFT_ELEMENT, .sign = 1};
  const Signal in = signalOf(c, u, b, block, 0), out = signalOf(c, y, b, block, 0);
  transformSignal(&x, &in, &out, own);
}

typedef struct {
  ref u, filter, D, future, y, scratch;
  int32_t pass, batch, length, channels, filterLength, futureLength;
} FftConvForward;

KERNEL(fftConvForward) {
  const FftConvForward* a = arguments;
  const Filters filters = {FLOATS(a->filter), FLOATS(a->D), FLOATS(a->future), a->filterLength, a->futureLength};
  const LongConv c = openLongConv(a->batch, a->length, a->channels, &filters, 0, FLOATS(a->scratch));
  float* own = c.own + (long)thread * c.tree.size * FFT_ELEMENT;
  if (a->pass == ROOTS) fftRoots(&c.tree, c.roots, begin * FFT_ROOTS, end * FFT_ROOTS);
  for (int i = begin; i < end && a->pass == FILTERS; i++) transformFilters(&c, &filters, i);
  for (int i = begin; i < end && a->pass == SEQUENCES; i++) {
    convolveLong(&c, FLOATS(a->u), FLOATS(a->y), i % c.batch, i / c.batch, own);
  }
}

// Where gradients go; null where nobody asked.
typedef struct {
  float *du, *dFilter, *dD, *dFuture;
  int addU, addFilter, addD, addFuture;
} LongConvGrads;

INLINE int wantsFilters(const LongConvGrads* g) { return g->dFilter || g->dD || g->dFuture; }

// A group of sequences: their du, and the sum of their conj(û) dŷ.
static void convolveLongBack(const LongConv* c, const LongConvGrads* g, float* u, float* dy, int group, int block, float* own) {
  const long elements = (long)c->tree.size * FFT_ELEMENT;
  float* other = own + elements;
  for (int b = group * FFT_GROUP; b < MIN((group + 1) * FFT_GROUP, c->batch); b++) {
    const Signal in = signalOf(c, u, b, block, 0), back = signalOf(c, dy, b, block, 0);
    const Signal out = signalOf(c, g->du, b, block, g->addU);
    Transform x = transformOf(c, block);
    if (wantsFilters(g)) {
      transformSignal(&x, &in, 0, other);
      x.work.other = other;
      x.work.sums = c->sums + (block * c->groups + group) * elements;
      x.work.adds = b > group * FFT_GROUP;
    }
    if (g->du) {
      x.work.filter = c->spectra + block * elements;
      x.work.sign = -1;
    }
    transformSignal(&x, &back, g->du ? &out : 0, own);
  }
}

INLINE void giveTap(float* to, int adds, float value) { *to = adds ? *to + value : value; }

// The gradients of the filters of a block: the sum over groups, transformed back.
static void gradientsOfFilters(const LongConv* c, const LongConvGrads* g, const Filters* f, int block) {
  const long elements = (long)c->tree.size * FFT_ELEMENT;
  float* sums = c->sums + block * c->groups * elements;
  for (int group = 1; group < c->groups; group++) {
    for (long i = 0; i < elements; i += LANES) store(sums + i, load(sums + i) + load(sums + group * elements + i));
  }
  const Transform x = transformOf(c, block);
  joinAll(&x, sums);
  const float scale = 1.0f / c->tree.size;
  for (int from = 0; from < MAX(f->filterLength, f->futureLength); from += FFT_CHUNK) {
    for (int channel = 0; channel < channelsOf(c, block); channel++) {
      const long row = block * FFT_CHANNELS + channel;
      for (int s = from; g->dFilter && s < MIN(from + FFT_CHUNK, f->filterLength); s++) {
        const float tap = s < c->taps ? *tapAt(c, sums, s, channel) * scale : 0;
        giveTap(&g->dFilter[row * f->filterLength + s], g->addFilter, tap);
      }
      for (int s = from; g->dFuture && s < MIN(from + FFT_CHUNK, f->futureLength); s++) {
        const float tap = s < c->futureTaps ? -*tapAt(c, sums, 2 * c->tree.size - 1 - s, channel) * scale : 0;
        giveTap(&g->dFuture[row * f->futureLength + s], g->addFuture, tap);
      }
      if (from == 0 && g->dD) giveTap(&g->dD[row], g->addD, *tapAt(c, sums, 0, channel) * scale);
    }
  }
}

typedef struct {
  ref u, filter, D, future, y, dy, du, dFilter, dD, dFuture;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, batch, length, channels, filterLength, futureLength;
} FftConvBackward;

KERNEL(fftConvBackward) {
  const FftConvBackward* a = arguments;
  const Filters filters = {FLOATS(a->filter), FLOATS(a->D), FLOATS(a->future), a->filterLength, a->futureLength};
  const LongConvGrads grads = {FLOATS(a->du),          FLOATS(a->dFilter),          FLOATS(a->dD),
                           FLOATS(a->dFuture),     a->accumulate & 1,           a->accumulate >> 1 & 1,
                           a->accumulate >> 2 & 1, a->accumulate >> 3 & 1};
  const LongConv c = openLongConv(a->batch, a->length, a->channels, &filters, 1, FLOATS(a->scratch));
  float* own = c.own + (long)thread * 2 * c.tree.size * FFT_ELEMENT;
  if (a->pass == ROOTS) fftRoots(&c.tree, c.roots, begin * FFT_ROOTS, end * FFT_ROOTS);
  for (int i = begin; i < end && a->pass == FILTERS && grads.du; i++) transformFilters(&c, &filters, i);
  for (int i = begin; i < end && a->pass == SEQUENCES; i++) {
    convolveLongBack(&c, &grads, FLOATS(a->u), FLOATS(a->dy), i % c.groups, i / c.groups, own);
  }
  for (int i = begin; i < end && a->pass == SUMS && wantsFilters(&grads); i++) {
    gradientsOfFilters(&c, &grads, &filters, i);
  }
}
