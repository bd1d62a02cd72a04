// Discretization of diagonal systems. A task is a channel; vectors of modes are done in double precision.
#include "diagonalSystem.h"

typedef struct {
  ref lambda, B, delta, Abar, Bbar, scratch;
  int32_t pass, channels, n, bilinear;
} DiagonalDiscretize;

KERNEL(diagonalDiscretize) {
  const DiagonalDiscretize* a = arguments;
  for (int h = begin; h < end; h++) {
    for (int k = 0; k < a->n; k += PAIRS) {
      const int i = 2 * (h * a->n + k), pairs = a->n - k;
      const Modes m = modesOf(loadC(FLOATS(a->lambda) + i, pairs), FLOATS(a->delta)[h], a->bilinear);
      storeC(FLOATS(a->Abar) + i, m.A, pairs);
      storeC(FLOATS(a->Bbar) + i, timesC(m.g, loadC(FLOATS(a->B) + i, pairs)), pairs);
    }
  }
}

typedef struct {
  ref lambda, B, delta, Abar, Bbar, dAbar, dBbar, dLambda, dB, dDelta;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, channels, n, bilinear;
} DiagonalDiscretizeBackward;

INLINE vc adjointC(const float* gradient, int i, int pairs) {
  return gradient ? conjugateC(loadC(gradient + i, pairs)) : realC(0);
}

KERNEL(diagonalDiscretizeBackward) {
  const DiagonalDiscretizeBackward* a = arguments;
  const int adds = a->accumulate;
  const SystemGradients d = {
      FLOATS(a->dLambda), FLOATS(a->dB), 0, FLOATS(a->dDelta), adds & 1, adds >> 1 & 1, 0, adds >> 2 & 1};
  for (int h = begin; h < end; h++) {
    double dDelta = 0;
    for (int k = 0; k < a->n; k += PAIRS) {
      const int i = h * a->n + k, pairs = a->n - k;
      const Modes m = modesOf(loadC(FLOATS(a->lambda) + 2 * i, pairs), FLOATS(a->delta)[h], a->bilinear);
      const vc FA = adjointC(FLOATS(a->dAbar), 2 * i, pairs), FBbar = adjointC(FLOATS(a->dBbar), 2 * i, pairs);
      dDelta += giveModes(&d, &m, loadC(FLOATS(a->B) + 2 * i, pairs), FA, FBbar, i, pairs);
    }
    giveDelta(&d, h, dDelta);
  }
}
