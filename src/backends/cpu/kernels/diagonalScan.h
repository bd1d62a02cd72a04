// What the scan of discrete diagonal systems and its backward share.
#pragma once
#include "transpose.h"

// Channels of a task, a cache line of floats, and steps at a time (both also in diagonalScan.ts); modes whose states are
// in registers together.
enum { DIAGONAL_CHANNELS = 16, DIAGONAL_STEPS = 16, DIAGONAL_MODES = VB == 16 ? 2 : 4 };

typedef struct {
  ref u, Abar, Bbar, C, D, state, y, last;
} DiagonalRefs;

typedef struct {
  int32_t pass, batch, length, channels, n;
} DiagonalSizes;

// Of a task: 16 channels of a sequence, or what is left. system: row of its first channel in Ā, states: in the state.
typedef struct {
  int b, first, count;
  long system, states;
} DiagonalBlock;

INLINE DiagonalBlock diagonalBlock(const DiagonalSizes* s, int task) {
  const int blocks = (s->channels + DIAGONAL_CHANNELS - 1) / DIAGONAL_CHANNELS;
  const int b = task / blocks, first = task % blocks * DIAGONAL_CHANNELS;
  return (DiagonalBlock){b, first, MIN(DIAGONAL_CHANNELS, s->channels - first), (long)first * 2 * s->n,
                         ((long)b * s->channels + first) * 2 * s->n};
}

// Rows of 16 channels, re and im of each mode in turn: mode i of a group that begins at row 0.
INLINE vf modeRe(const float* rows, int i) { return load(rows + 2 * i * DIAGONAL_CHANNELS); }
INLINE vf modeIm(const float* rows, int i) { return load(rows + (2 * i + 1) * DIAGONAL_CHANNELS); }
INLINE void setMode(float* rows, int i, vf re, vf im) {
  store(rows + 2 * i * DIAGONAL_CHANNELS, re);
  store(rows + (2 * i + 1) * DIAGONAL_CHANNELS, im);
}

// Ā h + B̄ u, for one vector of one mode.
INLINE void advanceMode(vf Ar, vf Ai, vf Br, vf Bi, vf u, vf hr, vf hi, vf* re, vf* im) {
  *re = fma_(-Ai, hi, fma_(Ar, hr, Br * u));
  *im = fma_(Ai, hr, fma_(Ar, hi, Bi * u));
}
