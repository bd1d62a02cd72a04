// Rotary embedding: a task is 16 positions, in all sequences and heads, so that the turn of a position is multiplied
// together once: about one product of pairs for each binary digit. Traffic: 2 floats an element.
#include "kernel.h"

enum { ROPE_POSITIONS = 16, ROPE_CHANNELS = 128, ROPE_DIGITS = 24 };

typedef struct {
  int batch, length, heads, headDim, start;
  const float* turns;
} Rope;

// exp(i p θ) of channels c ≤ … < c + n, as pairs.
static void turnOf(const Rope* r, int p, int c, int n, float* turn) {
  for (int i = 0; i < n; i += 2) turn[i] = 1, turn[i + 1] = 0;
  for (int k = 0; k < ROPE_DIGITS; k++) {
    if (!(p >> k & 1)) continue;
    const float* x = r->turns + k * r->headDim + c;
    for (int i = 0; i < n; i += 2) {
      const float re = turn[i] * x[i] - turn[i + 1] * x[i + 1], im = turn[i] * x[i + 1] + turn[i + 1] * x[i];
      turn[i] = re;
      turn[i + 1] = im;
    }
  }
}

INLINE void turnRow(const float* u, const float* turn, int n, float* y, const int back, const int adds) {
  for (int i = 0; i < n; i += 2) {
    const float im = back ? -turn[i + 1] : turn[i + 1];
    const float a = turn[i] * u[i] - im * u[i + 1], b = turn[i] * u[i + 1] + im * u[i];
    y[i] = adds ? y[i] + a : a;
    y[i + 1] = adds ? y[i + 1] + b : b;
  }
}

INLINE void turnAll(const Rope* r, const float* u, float* y, int begin, int end, const int back, const int adds) {
  float turn[ROPE_CHANNELS];
  for (int t = begin * ROPE_POSITIONS; t < MIN(end * ROPE_POSITIONS, r->length); t++) {
    for (int c = 0; c < r->headDim; c += ROPE_CHANNELS) {
      const int n = MIN(ROPE_CHANNELS, r->headDim - c);
      turnOf(r, r->start + t, c, n, turn);
      for (int b = 0; b < r->batch; b++) {
        int64_t at = ((int64_t)b * r->length + t) * r->heads * r->headDim + c;
        for (int h = 0; h < r->heads; h++, at += r->headDim) turnRow(u + at, turn, n, y + at, back, adds);
      }
    }
  }
}

typedef struct {
  ref u, position, turns, y, scratch;
  int32_t pass, batch, length, heads, headDim;
} RopeForward;

KERNEL(rope) {
  const RopeForward* f = arguments;
  const int start = f->position ? *INTS(f->position) : 0;
  const Rope r = {f->batch, f->length, f->heads, f->headDim, start, FLOATS(f->turns)};
  turnAll(&r, FLOATS(f->u), FLOATS(f->y), begin, end, 0, 0);
}

typedef struct {
  ref u, position, turns, y, dy, du, dPosition, dTurns;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, batch, length, heads, headDim;
} RopeBackward;

KERNEL(ropeBackward) {
  const RopeBackward* f = arguments;
  if (!f->du) return;
  const int start = f->position ? *INTS(f->position) : 0;
  const Rope r = {f->batch, f->length, f->heads, f->headDim, start, FLOATS(f->turns)};
  if (f->accumulate & 1) turnAll(&r, FLOATS(f->dy), FLOATS(f->du), begin, end, 1, 1);
  else turnAll(&r, FLOATS(f->dy), FLOATS(f->du), begin, end, 1, 0);
}
