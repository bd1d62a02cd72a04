/** WGSL for the modes of diagonal systems; the formulas are in math/mode.ts. Needs complex, cis and exponential. */
import { cis, complex, exponential } from "./complexMath.ts";

/**
 * turnOf(a, b): ab / 2π modulo 1 in units of 2⁻⁶⁴, high word first: what an angle of thousands of turns needs to be
 * known to the last bit of its floats. Whole numbers throughout, so no compiler can round it: the 48 bits of the product
 * of both significands times 96 bits of 1/2π, shifted. Right for |ab| < 2⁴⁸.
 */
const turns = /* wgsl */ `
fn wideProduct(a: u32, b: u32) -> vec2u {
  let low = vec2u(a, b) & vec2u(0xffffu);
  let high = vec2u(a, b) >> vec2u(16u);
  let least = low.x * low.y;
  let p = low.x * high.y;
  let q = high.x * low.y;
  let mid = (least >> 16u) + (p & 0xffffu) + (q & 0xffffu);
  return vec2u((least & 0xffffu) | (mid << 16u), high.x * high.y + (p >> 16u) + (q >> 16u) + (mid >> 16u));
}
fn turnOf(a: f32, b: f32) -> vec2u {
  let bits = vec2u(bitcast<u32>(a), bitcast<u32>(b));
  let exponent = (bits >> vec2u(23u)) & vec2u(0xffu);
  let significand = (bits & vec2u(0x7fffffu)) | vec2u(0x800000u);
  let M = wideProduct(significand.x, significand.y);
  var sums = array<u32, 8>();
  let C = array<u32, 3>(0x7f09d5f4u, 0x9391054au, 0x28be60dbu); // 1/2π · 2⁹⁶
  for (var j = 0u; j < 2u; j++) {
    var carry = 0u;
    for (var i = 0u; i < 3u; i++) {
      let p = wideProduct(M[j], C[i]);
      let partial = p.x + carry;
      let sum = sums[i + j] + partial;
      carry = p.y + select(0u, 1u, partial < carry) + select(0u, 1u, sum < partial);
      sums[i + j] = sum;
    }
    sums[3u + j] = carry;
  }
  let shift = 332u - exponent.x - exponent.y; // 32 − (exponents − 2 · 150)
  let word = shift >> 5u;
  let bit = shift & 31u;
  if (exponent.x == 0u || exponent.y == 0u || word > 4u) { return vec2u(0u); }
  let low = (sums[word] >> bit) | ((sums[word + 1u] << 1u) << (31u - bit));
  let high = (sums[word + 1u] >> bit) | ((sums[word + 2u] << 1u) << (31u - bit));
  if (((bits.x ^ bits.y) & 0x80000000u) == 0u) { return vec2u(high, low); }
  return vec2u(~high + select(0u, 1u, low == 0u), ~low + 1u);
}`;

/** powerOf(lambda, delta, m) = exp(mΔλ), to float32 for any whole m: its angle is reduced exactly. */
export const powerOf = /* wgsl */ `${complex}${cis}${exponential}${turns}
fn powerOf(lambda: vec2f, delta: f32, m: u32) -> vec2f {
  let turn = turnOf(delta, lambda.y);
  return exponential(delta * lambda.x * f32(m)) * cis(turn.x * m + wideProduct(turn.y, m).y);
}`;

/** modeOf(lambda, delta) by zero-order hold; φ and its slope by their series where |z| < 1. Needs powerOf. */
const hold = /* wgsl */ `
fn modeOf(lambda: vec2f, delta: f32) -> Mode {
  let z = delta * lambda;
  let A = powerOf(lambda, delta, 1u);
  var value = vec2f(${1 / 6227020800}, 0.0);
  var slope = vec2f(${13 / 87178291200}, 0.0);
  var factorial = ${1 / 6227020800};
  for (var k = 11; k >= 0; k--) {
    slope = times(slope, z) + vec2f(f32(k + 1) * factorial, 0.0);
    factorial *= f32(k + 2);
    value = times(value, z) + vec2f(factorial, 0.0);
  }
  if (dot(z, z) >= 1.0) {
    value = over(A - vec2f(1.0, 0.0), z);
    slope = over(A - value, z);
  }
  return Mode(A, delta * value, delta * A, times(lambda, A), delta * delta * slope, A);
}`;

const bilinear = /* wgsl */ `
fn modeOf(lambda: vec2f, delta: f32) -> Mode {
  let half = 0.5 * delta * lambda;
  let r = over(vec2f(1.0, 0.0), vec2f(1.0, 0.0) - half);
  let square = times(r, r);
  return Mode(times(vec2f(1.0, 0.0) + half, r), delta * r, delta * square, times(lambda, square), 0.5 * delta * delta * square, square);
}`;

/** modeOf(lambda, delta): Ā, g with B̄ = g B, and their derivatives. */
export function modeOf(rule: number): string {
  return /* wgsl */ `
struct Mode { A: vec2f, g: vec2f, AbyLambda: vec2f, AbyDelta: vec2f, gByLambda: vec2f, gByDelta: vec2f }
${rule ? complex + bilinear : powerOf + hold}`;
}
