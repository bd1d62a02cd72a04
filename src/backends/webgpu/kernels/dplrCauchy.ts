/**
 * Passes that S4's spectrum, its backward and its readout share: the Cauchy sums, as in cpu/kernels/dplrSpectrum.h. Both of
 * a conjugate pair have one denominator and real numerators p, q, so a pair costs one complex reciprocal. A first pass
 * writes a row for each state; an invocation has a frequency of a channel and goes through its states, which its
 * neighbours read too. The other way an invocation has a state and a part of the frequencies.
 */
import type { Pass } from "../kernel.ts";
import { complex } from "./complexMath.ts";

export const dplrSize = 64;

/** Parts of the frequencies that are added up apart: at most 64, of 64 frequencies or more. */
export function partOf(length: number): number {
  return Math.max(64, Math.ceil((Math.floor(length / 2) + 1) / 64));
}

/** Sides of the products, and pairs (p, q): left C, P̄₁, P̄₂ with right B, P₁, P₂. */
const sideOf = (rank: number) => rank + 1;
export const productsOf = (rank: number) => sideOf(rank) ** 2;

/** Pairs of a state's row: (|x|, Δ/2), x = (α, β), a (p, q) for each product, then the left and the right factors. */
export const rowOf = (rank: number) => 2 + productsOf(rank) + 2 * sideOf(rank);

/** Text for each of k = 0 … count − 1. */
export function repeat(count: number, text: (k: number) => string, between = "\n"): string {
  return Array.from({ length: count }, (_, k) => text(k)).join(between);
}

/** Writes `table`. Without B it counts as 0. */
export function tablePass(channels: number, n: number, rank: number, C: string, B: boolean): Pass {
  const side = sideOf(rank);
  const products = productsOf(rank);
  return {
    reads: ["lambda: vec2f", "P: vec2f", ...(B ? ["B: vec2f"] : []), `${C}: vec2f`, "delta"],
    writes: ["table: vec2f"],
    workgroups: Math.ceil((channels * n) / dplrSize),
    workgroupSize: dplrSize,
    code: /* wgsl */ `${complex}
fn run(group: u32, lane: u32) {
  let i = group * ${dplrSize}u + lane;
  if (i >= channels * n) { return; }
  let half = 0.5 * delta[i / n];
  let x = half * lambda[i];
  let row = i * ${rowOf(rank)}u;
  table[row] = vec2f(sqrt(dot(x, x)), half);
  table[row + 1u] = x;
  let left0 = ${C}[i];
  let right0 = ${B ? "B[i]" : "vec2f(0.0)"};
  ${repeat(rank, (r) => `let right${r + 1} = P[${r}u * channels * n + i]; let left${r + 1} = conjugate(right${r + 1});`)}
  var v: vec2f;
  ${repeat(products, (v) => `v = times(left${Math.floor(v / side)}, right${v % side}); table[row + ${2 + v}u] = vec2f(-2.0 * dot(x, v), 2.0 * v.x);`)}
  ${repeat(side, (k) => `table[row + ${2 + products + k}u] = left${k}; table[row + ${2 + products + side + k}u] = right${k};`)}
}`,
  };
}

/** anglesOf(j): cos θ/2 and sin θ/2, the former exactly 0 at ω = −1; poleOf(row, c, s): g of a state. */
const frequencies = /* wgsl */ `${complex}
fn sinPi(x: f32) -> f32 {
  let z = x * x;
  var p = 7.76559123e-2;
  p = fma(p, z, -5.98290411e-1);
  p = fma(p, z, 2.55007739);
  p = fma(p, z, -5.16771008);
  p = fma(p, z, 3.14159264);
  return p * x;
}
fn anglesOf(j: u32) -> vec2f {
  let span = 2.0 * f32(length);
  return vec2f(sinPi(f32(length - 2u * j) / span), sinPi(f32(2u * j) / span));
}
fn poleOf(row: u32, w: vec2f) -> vec2f {
  let size = table[row].x;
  let re = (w.x * size - w.y) * (w.x * size + w.y);
  let im = 2.0 * w.x * w.y * table[row + 1u].x;
  return vec2f(re, im) / (re * re + im * im);
}`;

/** Woodbury's identity on S0 …: tB and tC of each rank, of κ. */
function woodbury(rank: number): string {
  if (rank === 1) {
    return /* wgsl */ `
  let inverse = kappa * over(vec2f(1.0, 0.0), vec2f(1.0, 0.0) + kappa * S3);
  let tB0 = times(S2, inverse);
  let tC0 = times(S1, inverse);`;
  }
  return /* wgsl */ `
  let a = vec2f(1.0, 0.0) + kappa * S4;
  let b = kappa * S5;
  let c = kappa * S7;
  let d = vec2f(1.0, 0.0) + kappa * S8;
  let inverse = kappa * over(vec2f(1.0, 0.0), times(a, d) - times(b, c));
  let tB0 = times(times(d, S3) - times(b, S6), inverse);
  let tB1 = times(times(a, S6) - times(c, S3), inverse);
  let tC0 = times(times(d, S1) - times(c, S2), inverse);
  let tC1 = times(times(a, S2) - times(b, S1), inverse);`;
}

/** A pass over frequencies: S0 … and tB, tC are there for `body`, beside w, half, channel h, frequency j and `count` of them. */
export function frequencyPass(
  rank: number,
  { channels, length }: { readonly channels: number; readonly length: number },
  pass: Pick<Pass, "reads" | "writes">,
  body: string,
): Pass {
  const products = productsOf(rank);
  return {
    reads: ["table: vec2f", ...pass.reads],
    writes: pass.writes,
    workgroups: Math.ceil((channels * (Math.floor(length / 2) + 1)) / dplrSize),
    workgroupSize: dplrSize,
    code: /* wgsl */ `${frequencies}
fn run(group: u32, lane: u32) {
  let at = group * ${dplrSize}u + lane;
  let count = length / 2u + 1u;
  let h = at / count;
  let j = at % count;
  if (h >= channels) { return; }
  let w = anglesOf(j);
  let half = table[h * n * ${rowOf(rank)}u].y;
  let kappa = half * w.x;
  ${repeat(products, (v) => `var p${v} = vec2f(0.0); var q${v} = vec2f(0.0);`)}
  for (var i = 0u; i < n; i++) {
    let row = (h * n + i) * ${rowOf(rank)}u;
    let g = poleOf(row, w);
    var own: vec2f;
    ${repeat(products, (v) => `own = table[row + ${2 + v}u]; p${v} += own.x * g; q${v} += own.y * g;`)}
  }
  ${repeat(products, (v) => `let S${v} = w.x * p${v} + w.y * vec2f(-q${v}.y, q${v}.x);`)}
  ${woodbury(rank)}
  ${body}
}`,
  };
}

/** Writes F of each product, `pulls`: (channels, products, frequencies), from F0. */
export function pulls(rank: number): string {
  const side = sideOf(rank);
  return /* wgsl */ `
  let to = h * ${productsOf(rank)}u * count + j;
  pulls[to] = F0;
  ${repeat(
    rank,
    (r) => `pulls[to + ${1 + r}u * count] = -times(F0, tB${r});
  let G${r} = times(F0, tC${r});
  pulls[to + ${(1 + r) * side}u * count] = -G${r};
  ${repeat(rank, (k) => `pulls[to + ${(1 + r) * side + 1 + k}u * count] = times(G${r}, tB${k});`)}`,
  )}`;
}

/** Writes `partials`: for each part, channel and state the sums (dp, dq) of each product and (d|x|², dα). */
export function statePass(rank: number, channels: number, n: number, length: number): Pass {
  const products = productsOf(rank);
  const part = partOf(length);
  const parts = Math.ceil((Math.floor(length / 2) + 1) / part);
  return {
    reads: ["table: vec2f", "pulls: vec2f"],
    writes: ["partials: vec2f"],
    workgroups: Math.ceil((channels * n * parts) / dplrSize),
    workgroupSize: dplrSize,
    code: /* wgsl */ `${frequencies}
fn run(group: u32, lane: u32) {
  let at = group * ${dplrSize}u + lane;
  let count = length / 2u + 1u;
  let i = at % (channels * n);
  let first = at / (channels * n) * ${part}u;
  if (first >= count) { return; }
  let h = i / n;
  let row = i * ${rowOf(rank)}u;
  ${repeat(products, (v) => `let own${v} = table[row + ${2 + v}u]; var d${v} = vec2f(0.0);`)}
  var size = 0.0;
  var alpha = 0.0;
  for (var j = first; j < min(count, first + ${part}u); j++) {
    let w = anglesOf(j);
    let g = poleOf(row, w);
    var T = vec2f(0.0);
    var c: vec2f;
    var s: vec2f;
    ${repeat(
      products,
      (v) => `s = pulls[(h * ${products}u + ${v}u) * count + j]; c = w.x * s; s = w.y * s;
    T += own${v}.x * c + own${v}.y * vec2f(-s.y, s.x);
    d${v} += vec2f(c.x * g.x - c.y * g.y, -s.x * g.y - s.y * g.x);`,
    )}
    let W = times(times(T, g), g);
    size -= w.x * w.x * W.x;
    alpha -= 2.0 * w.x * w.y * W.y;
  }
  ${repeat(products, (v) => `partials[at * ${products + 1}u + ${v}u] = d${v};`)}
  partials[at * ${products + 1}u + ${products}u] = vec2f(size, alpha);
}`,
  };
}

/** From the partials of state i to its gradients: left0 …, right0 … of the factors, and `x` of Δ/2 Λ. */
export function stateGradient(rank: number, length: number): string {
  const side = sideOf(rank);
  const products = productsOf(rank);
  const parts = Math.ceil((Math.floor(length / 2) + 1) / partOf(length));
  return /* wgsl */ `
  let row = i * ${rowOf(rank)}u;
  ${repeat(products + 1, (v) => `var d${v} = vec2f(0.0);`, " ")}
  for (var part = 0u; part < ${parts}u; part++) {
    let at = (part * channels * n + i) * ${products + 1}u;
    ${repeat(products + 1, (v) => `d${v} += partials[at + ${v}u];`)}
  }
  let base = table[row + 1u];
  var x = vec2f(d${products}.y + 2.0 * base.x * d${products}.x, 2.0 * base.y * d${products}.x);
  ${repeat(side, (k) => `let L${k} = table[row + ${2 + products + k}u]; let R${k} = table[row + ${2 + products + side + k}u]; var left${k} = vec2f(0.0); var right${k} = vec2f(0.0);`)}
  var own: vec2f;
  ${repeat(products, (v) => {
    const [l, r] = [Math.floor(v / side), v % side];
    return `own = vec2f(-2.0 * base.x * d${v}.x + 2.0 * d${v}.y, -2.0 * base.y * d${v}.x);
  x -= 2.0 * d${v}.x * times(L${l}, R${r});
  left${l} += times(own, conjugate(R${r}));
  right${r} += times(own, conjugate(L${l}));`;
  })}`;
}
