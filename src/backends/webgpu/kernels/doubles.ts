/**
 * WGSL for numbers of about 46 bits, as unevaluated sums of two floats (Dekker 1971). Compilers of shaders may take float
 * sums for real ones and simplify the error terms away, so each result that must be rounded where it stands goes through
 * `opaque`, an exclusive or with a zero that only the uniforms know. No step needs a fused multiply-add, none minds one.
 */

/** `zero`: a WGSL expression that is 0u in fact, but that no compiler knows to be: of a dynamic size. */
export function doubles(zero: string): string {
  return /* wgsl */ `
fn opaque(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ (${zero})); }
fn quickSum(a: f32, b: f32) -> vec2f {
  let s = opaque(a + b);
  return vec2f(s, b - opaque(s - a));
}
fn twoSum(a: f32, b: f32) -> vec2f {
  let s = opaque(a + b);
  let v = opaque(s - a);
  let x = opaque(a - opaque(s - v));
  return vec2f(s, x + opaque(b - v));
}
fn twoProduct(a: f32, b: f32) -> vec2f {
  let p = opaque(a * b);
  let high = bitcast<vec2f>(bitcast<vec2u>(vec2f(a, b)) & vec2u(0xfffff000u));
  let low = vec2f(opaque(a - high.x), opaque(b - high.y));
  var e = opaque(high.x * high.y - p);
  e = opaque(e + high.x * low.y);
  e = opaque(e + low.x * high.y);
  return vec2f(p, e + low.x * low.y);
}
fn plusDouble(a: vec2f, b: vec2f) -> vec2f {
  let s = twoSum(a.x, b.x);
  return quickSum(s.x, s.y + (a.y + b.y));
}
fn timesDouble(a: vec2f, b: vec2f) -> vec2f {
  let p = twoProduct(a.x, b.x);
  return quickSum(p.x, p.y + (a.x * b.y + a.y * b.x));
}
fn inverseDouble(a: vec2f) -> vec2f {
  var q = vec2f(1.0 / a.x, 0.0);
  for (var k = 0; k < 2; k++) {
    let rest = plusDouble(vec2f(1.0, 0.0), -timesDouble(a, q));
    q = plusDouble(q, vec2f(q.x * rest.x, 0.0));
  }
  return q;
}`;
}

/** Complex: re in xy, im in zw. Needs doubles. */
export const complexDoubles = /* wgsl */ `
fn timesDoubles(a: vec4f, b: vec4f) -> vec4f {
  let re = plusDouble(timesDouble(a.xy, b.xy), -timesDouble(a.zw, b.zw));
  return vec4f(re, plusDouble(timesDouble(a.xy, b.zw), timesDouble(a.zw, b.xy)));
}`;
