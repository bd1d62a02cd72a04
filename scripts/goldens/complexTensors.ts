import { add, addScalar, div, mul, scale, sub } from "../../src/ops/arithmetic.ts";
import { diagonalDiscretize } from "../../src/ops/diagonalDiscretize.ts";
import { concat, split } from "../../src/ops/reshape.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

/** re + i im as pairs (…, 2). */
export function pairs(re: Tensor, im: Tensor): Tensor {
  return concat([reshape(re, [...re.shape, 1]), reshape(im, [...im.shape, 1])], -1);
}

/** Pairs as they are, or real numbers as pairs. */
export function asComplex(values: Tensor, real: boolean): Tensor {
  return real ? pairs(values, values.device.zeros(values.shape)) : values;
}

/**
 * The C for which the filter of zero-order hold is that of DSS (Gupta et al. 2022, arXiv 2203.14343, as in the official
 * code): with y = (exp(ΔΛL) − 1) Λ, C becomes C Λ ȳ / (|y|² + 10⁻⁷), and ours has a factor 2 that theirs lacks.
 */
export function dssOutput(lambda: Tensor, C: Tensor, delta: Tensor, length: number): Tensor {
  const { device, shape } = lambda;
  const ones = pairs(addScalar(device.zeros(shape.slice(0, -1)), 1), device.zeros(shape.slice(0, -1)));
  const { Bbar } = diagonalDiscretize(lambda, ones, scale(delta, length)); // (exp(ΔΛL) − 1)/Λ
  const [yr, yi] = split(product(Bbar, product(lambda, lambda)), [1, 1]);
  const size = addScalar(add(mul(yr, yr), mul(yi, yi)), 1e-7);
  const conjugate = concat([yr, scale(yi, -1)], -1);
  return scale(div(product(product(C, lambda), conjugate), size), 0.5);
}

function product(a: Tensor, b: Tensor): Tensor {
  const [[ar, ai], [br, bi]] = [split(a, [1, 1]), split(b, [1, 1])];
  return concat([sub(mul(ar, br), mul(ai, bi)), add(mul(ar, bi), mul(ai, br))], -1);
}
