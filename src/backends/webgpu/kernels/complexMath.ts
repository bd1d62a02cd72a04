/**
 * WGSL for complex numbers as vec2f, and for exponentials whose error is known: WGSL promises of its own sine no more
 * than an absolute error of 2⁻¹¹, and of its exponential 3 + 2|x| ulp.
 */

export const complex = /* wgsl */ `
fn times(a: vec2f, b: vec2f) -> vec2f { return a.x * b + a.y * vec2f(-b.y, b.x); }
fn conjugate(a: vec2f) -> vec2f { return vec2f(a.x, -a.y); }
fn over(a: vec2f, b: vec2f) -> vec2f { return times(a, conjugate(b)) / dot(b, b); }`;

/**
 * cis(turn): cosine and sine of 2π turn / 2³², within a unit in the last place of 1: a whole number of quarters, which
 * is exact, and the series for what is left, at most π/4.
 */
export const cis = /* wgsl */ `
fn cis(turn: u32) -> vec2f {
  let quarter = (turn + 0x20000000u) >> 30u;
  let x = f32(bitcast<i32>(turn - (quarter << 30u))) * 1.4629180792671596e-9;
  let z = x * x;
  var s = fma(z, 2.7557319e-6, -1.98412698e-4);
  s = fma(z, s, 8.33333333e-3);
  s = fma(z, s, -0.166666667);
  let sine = fma(x * z, s, x);
  var c = fma(z, -2.7557319e-7, 2.48015873e-5);
  c = fma(z, c, -1.38888889e-3);
  c = fma(z, c, 4.16666667e-2);
  c = fma(z, c, -0.5);
  let cosine = fma(z, c, 1.0);
  let turned = select(vec2f(cosine, sine), vec2f(-sine, cosine), (quarter & 1u) != 0u);
  return select(turned, -turned, (quarter & 2u) != 0u);
}`;

/** exponential(x): its relative error is that of x and two roundings; 0 below −87, infinite above 88. */
export const exponential = /* wgsl */ `
fn exponential(u: f32) -> f32 {
  var x = select(u, -87.5, u < -87.5);
  x = select(x, 89.0, x > 89.0);
  let whole = floor(fma(x, 1.44269504, 0.5));
  let r = fma(whole, 2.12194440e-4, fma(whole, -0.693359375, x));
  var p = 1.9841270e-4;
  p = fma(p, r, 1.3888889e-3);
  p = fma(p, r, 8.3333333e-3);
  p = fma(p, r, 4.1666667e-2);
  p = fma(p, r, 0.16666667);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  let half = i32(whole) / 2;
  let scales = bitcast<vec2f>((vec2i(half, i32(whole) - half) + 127) << vec2u(23u));
  return select(p * scales.x * scales.y, 0.0, u < -87.0);
}`;
