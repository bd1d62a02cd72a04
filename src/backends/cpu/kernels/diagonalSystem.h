// Modes of diagonal systems, discretized in double precision: the formulas are in math/mode.ts.
#pragma once
#include "doubles.h"

// Ā, B̄ = g B, and their derivatives.
typedef struct {
  vc A, g, AbyLambda, AbyDelta, gByLambda, gByDelta;
} Modes;

// φ(z) = (exp(z) − 1)/z and φ′(z), from exp(z); below |z| = 0.01 five terms of their series.
INLINE void holdFactor(vc z, vc exp, vc* value, vc* slope) {
  const vl near = sizeC(z) < 1e-4;
  const vc far = overC(minusC(exp, realC(1)), z);
  const double values[] = {1.0 / 24, 1.0 / 6, 1.0 / 2, 1}, slopes[] = {1.0 / 30, 1.0 / 8, 1.0 / 3, 1.0 / 2};
  vc v = realC(1.0 / 120), s = realC(1.0 / 144);
  UNROLL for (int k = 0; k < 4; k++) {
    v = plusC(timesC(v, z), realC(values[k]));
    s = plusC(timesC(s, z), realC(slopes[k]));
  }
  *value = whereC(near, v, far);
  *slope = whereC(near, s, overC(minusC(exp, far), z));
}

INLINE Modes modesOf(vc lambda, float step, int bilinear) {
  const vd delta = splatD(step);
  const vc z = scaleC(delta, lambda);
  if (bilinear) {
    const vc half = scaleC(splatD(0.5), z), r = overC(realC(1), minusC(realC(1), half)), square = timesC(r, r);
    return (Modes){timesC(plusC(realC(1), half), r), scaleC(delta, r),  scaleC(delta, square), timesC(lambda, square),
                   scaleC(delta * delta * 0.5, square), square};
  }
  const vc A = expC(z);
  vc value, slope;
  holdFactor(z, A, &value, &slope);
  return (Modes){A, scaleC(delta, value), scaleC(delta, A), timesC(lambda, A), scaleC(delta * delta, slope), A};
}

// Where gradients of a system go, if anywhere (0), and whether they are added to what is there.
typedef struct {
  float *lambda, *B, *C, *delta;
  int addsLambda, addsB, addsC, addsDelta;
} SystemGradients;

// Complex numbers from index i on, of which `pairs` count; F as in ops/diagonalSystem.ts.
INLINE void giveC(float* to, int adds, int i, vc F, int pairs) {
  if (!to) return;
  const vf v = zipC(conjugateC(F));
  storeUpTo(to + 2 * i, adds ? loadUpTo(to + 2 * i, 2 * pairs) + v : v, 2 * pairs);
}

// The gradients of Λ and B of the modes from i on, through Ā and B̄; returns what they add to that of Δ.
INLINE double giveModes(const SystemGradients* d, const Modes* m, vc B, vc FA, vc FBbar, int i, int pairs) {
  const vc Fg = timesC(FBbar, B);
  giveC(d->B, d->addsB, i, timesC(FBbar, m->g), pairs);
  giveC(d->lambda, d->addsLambda, i, plusC(timesC(FA, m->AbyLambda), timesC(Fg, m->gByLambda)), pairs);
  const vd F = plusC(timesC(FA, m->AbyDelta), timesC(Fg, m->gByDelta)).re;
  double sum = 0;
  for (int k = 0; k < MIN(pairs, PAIRS); k++) sum += F[k];
  return sum;
}

INLINE void giveDelta(const SystemGradients* d, int channel, double F) {
  if (d->delta) d->delta[channel] = d->addsDelta ? d->delta[channel] + (float)F : (float)F;
}
