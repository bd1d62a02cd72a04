// Causal convolution over the last K = dConv inputs. A task walks through the time of one sequence with a block of
// channels; the last K − 1 inputs of a vector of channels stay in registers. Forward, time is cut into blocks too, so
// that one long sequence keeps all threads busy: a block reads the K − 1 inputs before it. Traffic: 2 floats an element
// forward, 3 backward, where what was before silu is computed again.
#include "rows.h"
#include "vectorMath.h"

// CONV_CHANNELS and CONV_STEPS: channels and steps of a task; also in causalConv1d.ts.
enum { CONV_CHANNELS = 64, CONV_STEPS = 256, CONV_CHUNK = 32, CONV_MOST = 16 };

typedef struct {
  const float *u, *weight, *bias, *state;
  const int32_t* resets;
  int length, channels, dConv, silu;
} Conv;

// How far back from t the document reaches, K − 1 at the most; before u[0] lies the state, if there is one.
INLINE int reachAt(const Conv* c, int b, int t) {
  const int most = c->state ? c->dConv - 1 : MIN(t, c->dConv - 1);
  if (c->resets) {
    for (int back = 0; back <= MIN(most, t); back++) {
      if (c->resets[b * c->length + t - back]) return back;
    }
  }
  return most;
}

// The vector of channels d of input s, which is before u[0] in the state; null where that counts as 0.
INLINE const float* inputAt(const Conv* c, int b, int s, int d) {
  if (s >= 0) return c->u + ((long)b * c->length + s) * c->channels + d;
  return c->state ? c->state + ((long)(b + 1) * (c->dConv - 1) + s) * c->channels + d : 0;
}

// past[k], k < K − 1: the inputs that step t sees before its own, oldest first; those out of reach are 0.
INLINE void loadPast(const Conv* c, int b, int t, int d, int lanes, const int K, vf* past) {
  const int reach = reachAt(c, b, t);
  for (int k = 0; k < K - 1; k++) {
    const int back = K - 1 - k;
    const float* from = back <= reach ? inputAt(c, b, t - back, d) : 0;
    past[k] = from ? loadUpTo(from, lanes) : splat(0);
  }
}

INLINE void convolve(const Conv* c, int b, int from, int to, int d, int lanes, const int K, float* y, float* last) {
  vf past[CONV_MOST], weight[CONV_MOST];
  loadPast(c, b, from, d, lanes, K, past);
  for (int k = 0; k < K; k++) weight[k] = loadUpTo(c->weight + k * c->channels + d, lanes);
  const vf bias = c->bias ? loadUpTo(c->bias + d, lanes) : splat(0);
  const float* u = inputAt(c, b, from, d);
  float* out = y + ((long)b * c->length + from) * c->channels + d;
  for (int t = from; t < to; t++, u += c->channels, out += c->channels) {
    if (c->resets && c->resets[b * c->length + t]) {
      for (int k = 0; k < K - 1; k++) past[k] = splat(0);
    }
    const vf now = loadUpTo(u, lanes);
    vf v = bias;
    for (int k = 0; k < K - 1; k++) v = fma_(weight[k], past[k], v);
    v = fma_(weight[K - 1], now, v);
    storeUpTo(out, c->silu ? v * sigmoid_(v) : v, lanes);
    for (int k = 0; k < K - 2; k++) past[k] = past[k + 1];
    if (K > 1) past[K - 2] = now;
  }
  if (to < c->length) return;
  for (int k = 0; k < K - 1; k++) storeUpTo(last + ((long)b * (K - 1) + k) * c->channels + d, past[k], lanes);
}

typedef struct {
  ref u, weight, bias, state, resets, y, last, scratch;
  int32_t pass, batch, length, channels, dConv, silu;
} CausalConv1dForward;

KERNEL(causalConv1dForward) {
  const CausalConv1dForward* a = arguments;
  const Conv c = {FLOATS(a->u), FLOATS(a->weight), FLOATS(a->bias), FLOATS(a->state), INTS(a->resets),
                  a->length,    a->channels,       a->dConv,        a->silu};
  const int blocks = (c.channels + CONV_CHANNELS - 1) / CONV_CHANNELS, spans = (c.length + CONV_STEPS - 1) / CONV_STEPS;
  float *y = FLOATS(a->y), *last = FLOATS(a->last);
  for (int i = begin; i < end; i++) {
    const int first = i % blocks * CONV_CHANNELS, t = i / blocks % spans * CONV_STEPS, b = i / blocks / spans;
    const int final = MIN(t + CONV_STEPS, c.length), past = MIN(first + CONV_CHANNELS, c.channels);
    for (int from = t; from < final; from += CONV_CHUNK) {
      const int to = MIN(from + CONV_CHUNK, final);
      for (int d = first; d < past; d += LANES) {
        if (c.dConv == 4) convolve(&c, b, from, to, d, past - d, 4, y, last);
        else convolve(&c, b, from, to, d, past - d, c.dConv, y, last);
      }
    }
  }
}

// What one vector of channels carries through time backwards' recomputation: the inputs it has seen, the gradients of
// these that are not complete yet, and the sums for the parameters.
typedef struct {
  vf past[CONV_MOST], pending[CONV_MOST], weight[CONV_MOST], dWeight[CONV_MOST], dBias;
} Carried;

typedef struct {
  const float *dy, *dLast;
  float *du, *dState;
  int addU, addState;
} ConvGrads;

// Writes the gradient of input s, which is complete.
INLINE void release(const Conv* c, const ConvGrads* g, int b, int s, int d, int lanes, vf value) {
  float* to = s >= 0 ? g->du : g->dState;
  if (!to) return;
  to += (s >= 0 ? (long)b * c->length + s : (long)(b + 1) * (c->dConv - 1) + s) * c->channels + d;
  const int adds = s >= 0 ? g->addU : g->addState;
  storeUpTo(to, adds ? loadUpTo(to, lanes) + value : value, lanes);
}

INLINE void convolveBack(const Conv* c, const ConvGrads* g, int b, int from, int to, int d, int lanes, const int K,
                         Carried* x) {
  const vf bias = c->bias ? loadUpTo(c->bias + d, lanes) : splat(0);
  for (int t = from; t < to; t++) {
    const int reach = reachAt(c, b, t), at = (b * c->length + t) * c->channels + d;
    const vf now = loadUpTo(c->u + at, lanes);
    for (int k = 0; k < K - 1 - reach; k++) x->past[k] = splat(0);
    vf v = bias;
    for (int k = 0; k < K - 1; k++) v = fma_(x->weight[k], x->past[k], v);
    v = fma_(x->weight[K - 1], now, v);
    vf dv = g->dy ? loadUpTo(g->dy + at, lanes) : splat(0);
    if (c->silu) {
      const vf s = sigmoid_(v);
      dv *= s * (1.0f + v * (1.0f - s));
    }
    x->dBias += dv;
    for (int k = K - 1 - reach; k < K - 1; k++) {
      x->dWeight[k] = fma_(dv, x->past[k], x->dWeight[k]);
      x->pending[k] = fma_(dv, x->weight[k], x->pending[k]);
    }
    x->dWeight[K - 1] = fma_(dv, now, x->dWeight[K - 1]);
    x->pending[K - 1] = dv * x->weight[K - 1];
    release(c, g, b, t - (K - 1), d, lanes, x->pending[0]);
    for (int k = 0; k < K - 1; k++) x->pending[k] = x->pending[k + 1];
    for (int k = 0; k < K - 2; k++) x->past[k] = x->past[k + 1];
    if (K > 1) x->past[K - 2] = now;
  }
}

// The inputs that remain as the last state have a gradient from it, if they are of the last document.
INLINE void finish(const Conv* c, const ConvGrads* g, int b, int d, int lanes, int K, Carried* x, float* partial) {
  const int reach = MIN(reachAt(c, b, c->length - 1), K - 1);
  for (int k = 0; k < K - 1; k++) {
    const int s = c->length - (K - 1) + k;
    if (g->dLast && c->length - 1 - s <= reach) {
      x->pending[k] += loadUpTo(g->dLast + ((long)b * (K - 1) + k) * c->channels + d, lanes);
    }
    release(c, g, b, s, d, lanes, x->pending[k]);
  }
  for (int k = 0; k < K; k++) storeUpTo(partial + k * c->channels + d, x->dWeight[k], lanes);
  storeUpTo(partial + K * c->channels + d, x->dBias, lanes);
}

typedef struct {
  ref u, weight, bias, state, resets, y, last, dy, dLast, du, dWeight, dBias, dState, dResets;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, batch, length, channels, dConv, silu;
} CausalConv1dBackward;

KERNEL(causalConv1dBackward) {
  const CausalConv1dBackward* a = arguments;
  const Conv c = {FLOATS(a->u), FLOATS(a->weight), FLOATS(a->bias), FLOATS(a->state), INTS(a->resets),
                  a->length,    a->channels,       a->dConv,        a->silu};
  const ConvGrads g = {FLOATS(a->dy),     FLOATS(a->dLast),    FLOATS(a->du), FLOATS(a->dState),
                       a->accumulate & 1, a->accumulate >> 3 & 1};
  const int K = c.dConv, blocks = (c.channels + CONV_CHANNELS - 1) / CONV_CHANNELS;
  Carried carried[CONV_CHANNELS / LANES];
  for (int i = begin; i < end; i++) {
    const int b = i / blocks, first = i % blocks * CONV_CHANNELS, past = MIN(first + CONV_CHANNELS, c.channels);
    float* partial = FLOATS(a->scratch) + (long)b * (K + 1) * c.channels;
    for (int d = first; d < past; d += LANES) {
      Carried* x = &carried[(d - first) / LANES];
      for (int k = 0; k < K; k++) {
        x->weight[k] = loadUpTo(c.weight + k * c.channels + d, past - d);
        x->pending[k] = x->dWeight[k] = splat(0);
      }
      x->dBias = splat(0);
      loadPast(&c, b, 0, d, past - d, K, x->past);
    }
    for (int from = 0; from < c.length; from += CONV_CHUNK) {
      const int to = MIN(from + CONV_CHUNK, c.length);
      for (int d = first; d < past; d += LANES) {
        Carried* x = &carried[(d - first) / LANES];
        if (K == 4) convolveBack(&c, &g, b, from, to, d, past - d, 4, x);
        else convolveBack(&c, &g, b, from, to, d, past - d, K, x);
      }
    }
    for (int d = first; d < past; d += LANES) {
      finish(&c, &g, b, d, past - d, K, &carried[(d - first) / LANES], partial);
    }
  }
}

// dWeight and dBias: the sums over the sequences, in their order.
KERNEL(causalConv1dSums) {
  const CausalConv1dBackward* a = arguments;
  const int width = a->channels, row = (a->dConv + 1) * width, weights = a->dConv * width;
  const float* partials = FLOATS(a->scratch);
  if (a->dWeight) {
    sumBlocks(partials, a->batch, row, FLOATS(a->dWeight), weights, a->accumulate >> 1 & 1, begin, end);
  }
  if (a->dBias) {
    sumBlocks(partials + weights, a->batch, row, FLOATS(a->dBias), width, a->accumulate >> 2 & 1, begin, end);
  }
}
