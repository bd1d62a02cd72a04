/**
 * WGSL functions that several kernels use. Each is text to be put into a pass's code. WGSL lets a compiler assume that no
 * number is NaN or infinite, so those are told by their bits.
 */

import type { Dtype } from "../../../tensor/backend.ts";

/** Invocations of the workgroups that go over elements one by one. */
export const wide = 256;

/** e = exp(−|u|) ≤ 1, so that nothing overflows. */
export const sigmoid = /* wgsl */ `
fn sigmoid(u: vec4f) -> vec4f {
  let e = exp(-abs(u));
  return select(vec4f(1.0), e, u < vec4f(0.0)) / (1.0 + e);
}`;

/** log(1 + e) for 0 ≤ e ≤ 1 without losing the digits of a small e: 2 atanh(s), s = e / (2 + e) ≤ 1/3, by its series. */
export const log1p = /* wgsl */ `
fn log1p(e: vec4f) -> vec4f {
  let s = e / (2.0 + e);
  let q = s * s;
  var p = vec4f(1.0 / 15.0);
  p = fma(p, q, vec4f(1.0 / 13.0));
  p = fma(p, q, vec4f(1.0 / 11.0));
  p = fma(p, q, vec4f(1.0 / 9.0));
  p = fma(p, q, vec4f(1.0 / 7.0));
  p = fma(p, q, vec4f(1.0 / 5.0));
  p = fma(p, q, vec4f(1.0 / 3.0));
  return 2.0 * fma(s * q, p, s);
}`;

/** max(u, 0) + log1p(exp(−|u|)); needs log1p. */
export const softplus = /* wgsl */ `
fn softplus(u: vec4f) -> vec4f {
  return select(u, vec4f(0.0), u < vec4f(0.0)) + log1p(exp(-abs(u)));
}`;

/** The same functions for single numbers. */
export function scalar(functions: string): string {
  return functions.replaceAll("vec4f", "f32");
}

/** Whether u is not a number. */
export const isNan = /* wgsl */ `
fn isNan(u: f32) -> bool {
  return (bitcast<u32>(u) & 0x7fffffffu) > 0x7f800000u;
}`;

/**
 * `NAME_at(i)`: number i of a weight that may be stored as f16; with `vector`, its i-th four numbers. The weight is to be
 * bound as `weightBinding` says.
 */
export function weightAt(name: string, dtype: Dtype, vector: boolean): string {
  const type = vector ? "vec4f" : "f32";
  const value =
    dtype !== "f16"
      ? `${name}[i]`
      : vector
        ? `vec4f(unpack2x16float(${name}[i].x), unpack2x16float(${name}[i].y))`
        : `unpack2x16float(${name}[i >> 1u])[i & 1u]`;
  return `\nfn ${name}_at(i: u32) -> ${type} { return ${value}; }`;
}

export function weightBinding(name: string, dtype: Dtype, vector: boolean): string {
  return vector ? `${name}: ${dtype === "f16" ? "vec2u" : "vec4f"}` : name;
}

/** How a gradient is put into its buffer: `d_u[i] ${into(adds)} value;` */
export function into(adds: boolean): "+=" | "=" {
  return adds ? "+=" : "=";
}

/**
 * `sumOfGroup(x, lane)`: the sum of x over the workgroup, the same bits in every invocation and every run. A tree in
 * workgroup memory; every invocation must call it.
 */
export function sumOfGroup(type: string, workgroupSize: number): string {
  return /* wgsl */ `
var<workgroup> sums: array<${type}, ${workgroupSize}>;
fn sumOfGroup(x: ${type}, lane: u32) -> ${type} {
  sums[lane] = x;
  workgroupBarrier();
  for (var half = ${workgroupSize / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  let total = sums[0];
  workgroupBarrier();
  return total;
}`;
}

/** The sum of some expressions, in pairs, and pairs of pairs: the chain of additions is short. */
export function sumText(count: number, text: (i: number) => string): string {
  const sum = (from: number, to: number): string => {
    if (to - from === 1) return text(from);
    const half = from + Math.ceil((to - from) / 2);
    return `(${sum(from, half)} + ${sum(half, to)})`;
  };
  return sum(0, count);
}

/**
 * Variables with values from memory, read where this stands: a compiler moves loads to where they are used, so that fewer
 * registers wait for them, but not out of a branch, whose condition it must not know to be true.
 */
export function pinned(
  condition: string,
  type: string,
  values: readonly (readonly [name: string, value: string])[],
): string {
  return `${values.map(([name]) => `var ${name}: ${type};`).join(" ")}
  if (${condition}) { ${values.map(([name, value]) => `${name} = ${value};`).join(" ")} }`;
}
