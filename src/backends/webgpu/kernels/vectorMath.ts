/**
 * Elementary functions on vectors of four, more exact than WGSL's own: its exp may be 3 + 2|u| ulp off, its log and tanh
 * lose their digits near 1 and 0. The formulas are those of the CPU kernels (cpu/kernels/vectorMath.h), where the
 * polynomials are explained. A compiler may assume that no number is NaN or infinite and may reorder sums, so NaN is told
 * by its bits, infinity is made from them, and what must be rounded in its place stands in calls of `fma`. What WGSL does
 * not promise: subnormal numbers (they may count as 0, going in or coming out), and division to better than 2.5 ulp.
 */

const special = /* wgsl */ `
fn isNan4(u: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(u) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}
fn ofBits(word: u32) -> vec4f { var bits = word; return vec4f(bitcast<f32>(bits)); }`; // a variable: no constant is infinite

/** exp1(u), within 1.5 ulp, and expSum(u, low): the exponential of u + low, |low| tiny. */
export const exponential = /* wgsl */ `${special}
fn expSum(u: vec4f, low: vec4f) -> vec4f {
  let x = clamp(u, vec4f(-104.0), vec4f(89.0));
  let n = round(x * 1.44269504);
  var r = fma(n, vec4f(-0.693359375), x);
  r = fma(n, vec4f(2.12194440e-4), r) + low;
  var q = vec4f(1.38131444e-3);
  q = fma(q, r, vec4f(8.36941885e-3));
  q = fma(q, r, vec4f(4.16684568e-2));
  q = fma(q, r, vec4f(1.66665148e-1));
  q = fma(q, r, vec4f(4.99999931e-1));
  let p = fma(r * r, q, r) + 1.0;
  let k = vec4i(n);
  let half = k >> vec4u(1u);
  let y = p * bitcast<vec4f>((k - half + 127) << vec4u(23u)) * bitcast<vec4f>((half + 127) << vec4u(23u));
  return select(select(y, ofBits(0x7f800000u), u > vec4f(88.7228394)), u, isNan4(u));
}
fn exp1(u: vec4f) -> vec4f { return expSum(u, vec4f(0.0)); }`;

/** logOnePlus(f) for √½ − 1 ≤ f ≤ 1. */
const logOnePlus = /* wgsl */ `
fn logOnePlus(f: vec4f) -> vec4f {
  let s = f / (f + 2.0);
  let z = s * s;
  var r = vec4f(2.80244593e-1);
  r = fma(r, z, vec4f(2.79991410e-1));
  r = fma(r, z, vec4f(4.00216991e-1));
  r = fma(r, z, vec4f(6.66664131e-1));
  return f - s * (f - z * r);
}`;

/** log1(u), within 1 ulp, division aside. A subnormal u is a whole number, its bits, times 2⁻¹⁴⁹. */
export const logarithm = /* wgsl */ `${special}${logOnePlus}
fn log1(u: vec4f) -> vec4f {
  let word = bitcast<vec4u>(u);
  let small = word < vec4u(0x00800000u);
  let bits = bitcast<vec4i>(select(word, bitcast<vec4u>(vec4f(word)), small)) - 0x3f3504f3;
  let m = bitcast<vec4f>((bits & vec4i(0x7fffff)) + 0x3f3504f3);
  let k = vec4f((bits >> vec4u(23u)) - select(vec4i(0), vec4i(149), small));
  var y = fma(k, vec4f(0.693359375), fma(k, vec4f(-2.12194440e-4), logOnePlus(m - 1.0)));
  y = select(y, u, word >= vec4u(0x7f800000u));
  y = select(y, ofBits(0x7fc00000u), word > vec4u(0x80000000u));
  return select(y, ofBits(0xff800000u), (word & vec4u(0x7fffffffu)) == vec4u(0u));
}`;

/** sigmoid1(u) and sigmoidSlope(u) = σ(u) σ(−u). */
export const logistic = /* wgsl */ `${exponential}
fn sigmoid1(u: vec4f) -> vec4f {
  let e = exp1(-abs(u));
  return select(vec4f(1.0), e, u < vec4f(0.0)) / (1.0 + e);
}
fn sigmoidSlope(u: vec4f) -> vec4f {
  let e = exp1(-abs(u));
  return e / (1.0 + e) / (1.0 + e);
}`;

/** softplus1(u), and what logistic has. */
export const softplus = /* wgsl */ `${logistic}${logOnePlus}
fn softplus1(u: vec4f) -> vec4f {
  return select(u, vec4f(0.0), u < vec4f(0.0)) + logOnePlus(exp1(-abs(u)));
}`;

/** tanh1(u), and what logistic has. */
export const hyperbolic = /* wgsl */ `${logistic}
fn tanh1(u: vec4f) -> vec4f {
  let size = abs(u);
  let z = u * u;
  var p = vec4f(-5.70498633e-3);
  p = fma(p, z, vec4f(2.06390866e-2));
  p = fma(p, z, vec4f(-5.37397148e-2));
  p = fma(p, z, vec4f(1.33314422e-1));
  p = fma(p, z, vec4f(-3.33332819e-1));
  let far = 1.0 - 2.0 / (exp1(size + size) + 1.0);
  let y = select(select(far, -far, u < vec4f(0.0)), fma(u * z, p, u), size < vec4f(0.625));
  return select(y, u, isNan4(u));
}`;

/** gauss(u) = exp(−u²/2) and normal(u, gauss(u)), the distribution function of the standard normal. */
export const gaussian = /* wgsl */ `${exponential}
fn gauss(u: vec4f) -> vec4f {
  let v = min(abs(u), vec4f(15.0));
  let head = bitcast<vec4f>(bitcast<vec4u>(v) & vec4u(0xfffff000u));
  return select(expSum(head * head * -0.5, (v - head) * (v + head) * -0.5), u, isNan4(u));
}
fn normal(u: vec4f, g: vec4f) -> vec4f {
  let v = min(abs(u), vec4f(15.0));
  let r = 1.0 / (v + 3.0);
  let w = fma(v + v, r, vec4f(-1.0));
  var p = vec4f(5.44550786e-5);
  p = fma(p, w, vec4f(1.31253882e-4));
  p = fma(p, w, vec4f(-2.44754622e-4));
  p = fma(p, w, vec4f(-1.03252406e-3));
  p = fma(p, w, vec4f(1.02478403e-3));
  p = fma(p, w, vec4f(6.96930223e-3));
  p = fma(p, w, vec4f(-1.04625204e-2));
  p = fma(p, w, vec4f(-4.72626876e-2));
  p = fma(p, w, vec4f(2.30017700e-1));
  p = fma(p, w, vec4f(-5.09331991e-1));
  p = fma(p, w, vec4f(7.29083690e-1));
  let tail = g * (p * r);
  return select(1.0 - tail, tail, u < vec4f(0.0));
}`;
