// Between rows of channels, as tensors lie, and vectors of channels, as recurrences run.
#pragma once
#include "rows.h"

#if VB == 64
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif VB == 32
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

// A square of LANES vectors: each round is a perfect shuffle of all its numbers, half the way for LANES = 4.
INLINE void transposeSquare(vf* rows) {
  UNROLL for (int round = 1; round < LANES; round *= 2) {
    vf shuffled[LANES];
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      shuffled[2 * i] = LOW(rows[i], rows[i + LANES / 2]);
      shuffled[2 * i + 1] = HIGH(rows[i], rows[i + LANES / 2]);
    }
    UNROLL for (int i = 0; i < LANES; i++) rows[i] = shuffled[i];
  }
}

// from: `count` rows of `width`; to: `width` rows of `stride` ≥ count, a multiple of LANES, filled up with 0.
static void gatherChannels(const float* from, int count, int width, float* to, int stride) {
  for (int r = 0; r < stride; r += LANES) {
    for (int c = 0; c < width; c += LANES) {
      vf square[LANES];
      for (int i = 0; i < LANES; i++) {
        square[i] = r + i < count ? loadUpTo(from + (r + i) * width + c, width - c) : splat(0);
      }
      transposeSquare(square);
      for (int i = 0; i < MIN(LANES, width - c); i++) store(to + (c + i) * stride + r, square[i]);
    }
  }
}

// The way back; adds: to what is there.
static void scatterChannels(const float* from, int stride, float* to, int count, int width, int adds) {
  for (int r = 0; r < count; r += LANES) {
    for (int c = 0; c < width; c += LANES) {
      vf square[LANES];
      for (int i = 0; i < LANES; i++) square[i] = c + i < width ? load(from + (c + i) * stride + r) : splat(0);
      transposeSquare(square);
      for (int i = 0; i < MIN(LANES, count - r); i++) {
        float* p = to + (r + i) * width + c;
        storeUpTo(p, adds ? loadUpTo(p, width - c) + square[i] : square[i], width - c);
      }
    }
  }
}
