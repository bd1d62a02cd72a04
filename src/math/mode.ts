import { add, type Complex, div, exp, expm1, mul, scale } from "./complex.ts";

/**
 * One mode of a diagonal system, x′ = λ x + B u, discretized to x_k = Ā x_{k−1} + B̄ u_k with B̄ = g B, and the
 * derivatives of Ā and g. All are complex, and differentiable as such. With z = Δλ (S4D, arXiv 2206.11893, section 3.2):
 *
 *   zero-order hold   Ā = exp(z)                    g = Δ φ(z), φ(z) = (exp(z) − 1)/z
 *   bilinear          Ā = (1 + z/2) / (1 − z/2)     g = Δ / (1 − z/2)
 */
export interface Mode {
  readonly A: Complex;
  readonly g: Complex;
  readonly AbyLambda: Complex;
  readonly AbyDelta: Complex;
  readonly gByLambda: Complex;
  readonly gByDelta: Complex;
}

const one: Complex = [1, 0];

/** ∂Ā/∂λ = Δ exp(z), ∂Ā/∂Δ = λ exp(z), ∂g/∂λ = Δ² φ′(z), ∂g/∂Δ = exp(z). */
export function zohMode(lambda: Complex, delta: number): Mode {
  const z = scale(delta, lambda);
  const A = exp(z);
  const { value, slope } = holdFactor(z);
  return {
    A,
    g: scale(delta, value),
    AbyLambda: scale(delta, A),
    AbyDelta: mul(lambda, A),
    gByLambda: scale(delta * delta, slope),
    gByDelta: A,
  };
}

/** With r = 1/(1 − z/2): ∂Ā/∂λ = Δ r², ∂Ā/∂Δ = λ r², ∂g/∂λ = Δ² r²/2, ∂g/∂Δ = r². */
export function bilinearMode(lambda: Complex, delta: number): Mode {
  const half = scale(delta / 2, lambda);
  const r = div(one, add(one, scale(-1, half)));
  const square = mul(r, r);
  return {
    A: mul(add(one, half), r),
    g: scale(delta, r),
    AbyLambda: scale(delta, square),
    AbyDelta: mul(lambda, square),
    gByLambda: scale((delta * delta) / 2, square),
    gByDelta: square,
  };
}

/** φ(z) = (exp(z) − 1)/z and φ′(z), which are 1 and ½ at 0: φ = Σ z^k/(k+1)! near it, since quotients would cancel. */
function holdFactor(z: Complex): { value: Complex; slope: Complex } {
  if (Math.hypot(z[0], z[1]) >= 0.5) {
    const value = div(expm1(z), z);
    return { value, slope: div(add(exp(z), scale(-1, value)), z) };
  }
  let value: Complex = one;
  let slope: Complex = [1 / 2, 0];
  for (let k = 1, power: Complex = z, factorial = 2; k < 16; k++) {
    value = add(value, scale(1 / factorial, power));
    factorial *= k + 2;
    slope = add(slope, scale((k + 1) / factorial, power));
    power = mul(power, z);
  }
  return { value, slope };
}
