// One vector in, one out: memory bound but for the exponentials, of which each expression has one.
#include "elementwise.h"

INLINE vf geluSlope(vf u) {
  const vf g = gauss(u);
  return normal(u, g) + u * g * 0.398942280f;  // 1/√(2π)
}

ELEMENTWISE(neg, -u, -dy)
ELEMENTWISE(exp, exp_(u), dy * y)
ELEMENTWISE(log, log_(u), dy / u)
ELEMENTWISE(sqrt, squareRoot(u), dy * (0.5f / y))
ELEMENTWISE(square, u * u, dy * (u + u))
ELEMENTWISE(sigmoid, sigmoid_(u), dy * sigmoidSlope(u))
ELEMENTWISE(tanh, tanh_(u), dy * (4.0f * sigmoidSlope(u + u)))
ELEMENTWISE(relu, atLeast(u, splat(0.0f)), dy * where(u <= 0.0f, splat(0.0f), splat(1.0f)))
ELEMENTWISE(silu, u * sigmoid_(u), dy * (sigmoid_(u) + u * sigmoidSlope(u)))
ELEMENTWISE(softplus, softplus_(u), dy * sigmoid_(u))
ELEMENTWISE(gelu, u * normal(u, gauss(u)), dy * geluSlope(u))
