// Scan of discrete diagonal systems, forward. A task is 16 channels of a sequence. Its Ā, B̄, C and h are transposed to
// vectors of channels once; then it goes through time in chunks of 16 steps: for each vector of channels and each four
// modes, all steps with h in registers, while the sums over n grow in the first-level cache. The order of these sums is
// fixed, and no step knows where a chunk begins. Floor: 8 multiply-adds per (mode, step). Traffic: u and y, and once the
// system and two states. Ā is rounded to float, so an error of 6e-8 |h| grows with each step that h lasts.
#include "diagonalScan.h"

typedef struct {
  DiagonalRefs refs;
  ref scratch;
  DiagonalSizes sizes;
} DiagonalScan;

// `count` modes through a chunk; A, B, C, h: their rows. sum: y of each step so far.
INLINE void scanModes(const float* u, int next, int steps, int lanes, const float* A, const float* B, const float* C,
                      float* h, vf* sum, const int count) {
  vf hr[DIAGONAL_MODES], hi[DIAGONAL_MODES];
#define EACH UNROLL for (int i = 0; i < count; i++)
  EACH hr[i] = modeRe(h, i), hi[i] = modeIm(h, i);
  for (int t = 0; t < steps; t++, u += next) {
    const vf x = loadUpTo(u, lanes);
    vf y = sum[t];
    EACH advanceMode(modeRe(A, i), modeIm(A, i), modeRe(B, i), modeIm(B, i), x, hr[i], hi[i], &hr[i], &hi[i]);
    EACH y = fma_(-modeIm(C, i), hi[i], fma_(modeRe(C, i), hr[i], y));
    sum[t] = y;
  }
  EACH setMode(h, i, hr[i], hi[i]);
#undef EACH
}

// A chunk of one vector of channels, its rows next floats apart.
INLINE void scanDiagonalChunk(const float* u, float* y, int next, int steps, int n, const float* D, const float* A,
                              const float* B, const float* C, float* h, const int lanes) {
  vf sum[DIAGONAL_STEPS];
  const vf skip = D ? loadUpTo(D, lanes) : splat(0);
  for (int t = 0; t < steps; t++) sum[t] = D ? skip * loadUpTo(u + t * next, lanes) : splat(0);
  int i = 0;
  for (; i + DIAGONAL_MODES <= n; i += DIAGONAL_MODES) {
    const int at = 2 * i * DIAGONAL_CHANNELS;
    scanModes(u, next, steps, lanes, A + at, B + at, C + at, h + at, sum, DIAGONAL_MODES);
  }
  for (; i < n; i++) {
    const int at = 2 * i * DIAGONAL_CHANNELS;
    scanModes(u, next, steps, lanes, A + at, B + at, C + at, h + at, sum, 1);
  }
  for (int t = 0; t < steps; t++) storeUpTo(y + t * next, sum[t], lanes);
}

KERNEL(diagonalScan) {
  const DiagonalScan* a = arguments;
  const DiagonalSizes* s = &a->sizes;
  const float *D = FLOATS(a->refs.D), *state = FLOATS(a->refs.state);
  const int width = 2 * s->n, rows = width * DIAGONAL_CHANNELS;
  float *A = FLOATS(a->scratch) + (long)thread * 4 * rows, *B = A + rows, *C = B + rows, *h = C + rows;
  for (int task = begin; task < end; task++) {
    const DiagonalBlock k = diagonalBlock(s, task);
    gatherChannels(FLOATS(a->refs.Abar) + k.system, k.count, width, A, DIAGONAL_CHANNELS);
    gatherChannels(FLOATS(a->refs.Bbar) + k.system, k.count, width, B, DIAGONAL_CHANNELS);
    gatherChannels(FLOATS(a->refs.C) + k.system, k.count, width, C, DIAGONAL_CHANNELS);
    for (int i = 0; i < rows; i += LANES) store(C + i, load(C + i) * 2.0f);
    if (state) gatherChannels(state + k.states, k.count, width, h, DIAGONAL_CHANNELS);
    else for (int i = 0; i < rows; i += LANES) store(h + i, splat(0));
    for (int t = 0; t < s->length; t += DIAGONAL_STEPS) {
      const long at = ((long)k.b * s->length + t) * s->channels + k.first;
      const int steps = MIN(DIAGONAL_STEPS, s->length - t);
      for (int c = 0; c < k.count; c += LANES) {
        const float *u = FLOATS(a->refs.u) + at + c, *skip = D ? D + k.first + c : 0;
        float* y = FLOATS(a->refs.y) + at + c;
        if (c + LANES <= k.count) {
          scanDiagonalChunk(u, y, s->channels, steps, s->n, skip, A + c, B + c, C + c, h + c, LANES);
        } else {
          scanDiagonalChunk(u, y, s->channels, steps, s->n, skip, A + c, B + c, C + c, h + c, k.count - c);
        }
      }
    }
    scatterChannels(h, DIAGONAL_CHANNELS, FLOATS(a->refs.last) + k.states, k.count, width, 0);
  }
}
