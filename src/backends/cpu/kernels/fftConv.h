// Transforms of signals: from (batch, length, channels) to values at the roots, what is done to these, and back.
#pragma once
#include "fft.h"

// Sixteen channels of one sequence, or what is left of them. Null: zeros, or nothing to be written.
typedef struct {
  float* at;
  long stride;  // from one step to the next
  int length, channels, adds;
} Signal;

INLINE vf signalAt(const Signal* s, int t, int v) {
  return s->at && t < s->length ? loadUpTo(s->at + t * s->stride + v * LANES, s->channels - v * LANES) : splat(0);
}

INLINE void setSignal(const Signal* s, int t, int v, vf value) {
  if (t >= s->length) return;
  float* to = s->at + t * s->stride + v * LANES;
  const int lanes = s->channels - v * LANES;
  storeUpTo(to, s->adds ? loadUpTo(to, lanes) + value : value, lanes);
}

// Rows of a step are far apart in memory, and no prefetcher guesses the next one.
INLINE void prefetchSignal(const Signal* s, int t) {
  if (s->at && t < s->length) __builtin_prefetch(s->at + t * s->stride);
}

// What is done to the values at the roots, all (M) elements. Null: not done.
typedef struct {
  const float* other;   // the conjugate of these times ours is added to `sums`, or becomes them
  float* sums;
  int adds;
  const float* filter;  // ours are multiplied by these, or, where sign < 0, by their conjugates, and joined
  int sign;
} Work;

typedef struct {
  Tree tree;
  int vectors;  // of the channels that count
  Work work;
} Transform;

// r^k u, as split makes of a real u.
INLINE cv real(vf u, const float* roots, int k) {
  return k == 0 ? (cv){u, splat(0)} : scaled(rootAt(roots, k), u);
}

// One level of `count` neighbouring nodes, whose elements begin at `data`; the first level may read a signal instead.
INLINE void splitLevel(const Transform* x, int level, int node, int count, float* data, const Signal* in, const int R) {
  const long span = x->tree.span[level], part = span * FFT_ELEMENT;
  for (int n = node; n < node + count; n++, data += R * part) {
    const float* roots = x->tree.roots[level] + 2 * (R - 1) * n;
    for (int i = 0; i < span; i++) {
      if (in) UNROLL for (int k = 0; k < R; k++) prefetchSignal(in, i + k * span + FFT_AHEAD);
      for (int v = 0; v < x->vectors; v++) {
        float* at = data + i * FFT_ELEMENT + v * LANES;
        cv f[5];
        UNROLL for (int k = 0; k < R; k++) {
          if (!in) f[k] = loadElement(at + k * part);
          else f[k] = real(signalAt(in, i + k * span, v), roots, k);
        }
        if (in) dft(f, R, 1);
        else split(f, roots, R);
        UNROLL for (int k = 0; k < R; k++) storeElement(at + k * part, f[k]);
      }
    }
  }
}

// The way back; the first level may write a signal.
INLINE void joinLevel(const Transform* x, int level, int node, int count, float* data, const Signal* out, const int R) {
  const long span = x->tree.span[level], part = span * FFT_ELEMENT;
  for (int n = node; n < node + count; n++, data += R * part) {
    const float* roots = x->tree.roots[level] + 2 * (R - 1) * n;
    for (int i = 0; i < span; i++) {
      if (out) UNROLL for (int k = 0; k < R; k++) prefetchSignal(out, i + k * span + FFT_AHEAD);
      for (int v = 0; v < x->vectors; v++) {
        float* at = data + i * FFT_ELEMENT + v * LANES;
        cv f[5];
        UNROLL for (int k = 0; k < R; k++) f[k] = loadElement(at + k * part);
        join(f, roots, R);
        UNROLL for (int k = 0; k < R; k++) {
          if (out) setSignal(out, i + k * span, v, f[k].re);
          else storeElement(at + k * part, f[k]);
        }
      }
    }
  }
}

#define EACH_RADIX(pass, signal)                                                   \
  switch (x->tree.radix[level]) {                                                  \
    case 2: return pass(x, level, node, count, data, signal, 2);                   \
    case 3: return pass(x, level, node, count, data, signal, 3);                   \
    case 4: return pass(x, level, node, count, data, signal, 4);                   \
    default: return pass(x, level, node, count, data, signal, 5);                  \
  }
static void splitNodes(const Transform* x, int level, int node, int count, float* data) { EACH_RADIX(splitLevel, 0) }
static void joinNodes(const Transform* x, int level, int node, int count, float* data) { EACH_RADIX(joinLevel, 0) }
static void splitSignal(const Transform* x, const Signal* in, float* data) {
  const int level = 0, node = 0, count = 1;
  EACH_RADIX(splitLevel, in)
}
static void joinSignal(const Transform* x, const Signal* out, float* data) {
  const int level = 0, node = 0, count = 1;
  EACH_RADIX(joinLevel, out)
}
#undef EACH_RADIX

// The last level of `count` nodes, there and, if there is a filter, back.
INLINE void lastLevel(const Transform* x, int node, int count, float* data, const int correlates, const int filters) {
  const Work* w = &x->work;
  for (int n = node; n < node + count; n++, data += 4 * FFT_ELEMENT) {
    const float* roots = x->tree.roots[x->tree.last] + 6 * n;
    for (int v = 0; v < x->vectors; v++) {
      float* own = data + v * LANES;
      const long at = (long)4 * n * FFT_ELEMENT + v * LANES;
      cv f[4];
      UNROLL for (int k = 0; k < 4; k++) f[k] = loadElement(own + k * FFT_ELEMENT);
      split(f, roots, 4);
      UNROLL for (int k = 0; k < 4; k++) {
        const long here = at + k * FFT_ELEMENT;
        const cv factor = filters ? loadElement(w->filter + here) : (cv){0};  // before `sums`, which may lie there
        if (correlates) {
          const cv product = times(f[k], loadElement(w->other + here), -1);
          storeElement(w->sums + here, w->adds ? plus(loadElement(w->sums + here), product) : product);
        }
        if (filters) f[k] = w->sign > 0 ? times(f[k], factor, 1) : times(f[k], factor, -1);
      }
      if (filters) join(f, roots, 4);
      if (filters || !correlates) UNROLL for (int k = 0; k < 4; k++) storeElement(own + k * FFT_ELEMENT, f[k]);
    }
  }
}

static void lastNodes(const Transform* x, int node, int count, float* data) {
  if (x->work.other) {
    if (x->work.filter) lastLevel(x, node, count, data, 1, 1);
    else lastLevel(x, node, count, data, 1, 0);
  } else {
    if (x->work.filter) lastLevel(x, node, count, data, 0, 1);
    else lastLevel(x, node, count, data, 0, 0);
  }
}

static void transform(const Transform* x, int level, int node, int count, float* data);

// The nodes below `count` nodes of a level: all at once if they are near each other, else one after the other.
static void below(const Transform* x, int level, int node, int count, float* data) {
  const int parts = count * x->tree.radix[level], span = x->tree.span[level];
  node *= x->tree.radix[level];
  if (parts * span <= FFT_NEAR) return transform(x, level + 1, node, parts, data);
  for (int k = 0; k < parts; k++) transform(x, level + 1, node + k, 1, data + (long)k * span * FFT_ELEMENT);
}

// Elements of `count` nodes to their values at the roots, the work, and back if there is a filter.
static void transform(const Transform* x, int level, int node, int count, float* data) {
  if (level == x->tree.last) return lastNodes(x, node, count, data);
  splitNodes(x, level, node, count, data);
  below(x, level, node, count, data);
  if (x->work.filter) joinNodes(x, level, node, count, data);
}

// From values at the roots to elements, times M.
static void joinAll(const Transform* x, float* data) {
  for (int level = x->tree.last; level >= 0; level--) joinNodes(x, level, 0, fftNodes(&x->tree, level), data);
}

// The same for all of a signal; out: null where the values at the roots are what is wanted, in `data`.
static void transformSignal(const Transform* x, const Signal* in, const Signal* out, float* data) {
  splitSignal(x, in, data);
  below(x, 0, 0, 1, data);
  if (out) joinSignal(x, out, data);
}
