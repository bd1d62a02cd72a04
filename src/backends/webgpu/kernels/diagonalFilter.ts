/**
 * The filter of diagonal systems as a product of matrices, K[64 j + s] = Re Σₙ (2 C B̄ Ā⁶⁴ʲ) (Āˢ). A workgroup has `rows`
 * rows of 64 positions of one channel, an invocation four rows of four positions; blocks of 16 modes are made from the
 * table of powers (diagonalPowers.ts) in workgroup memory. Two multiply-adds per (mode, position) beside one complex
 * product per (mode, row) and per (mode, column).
 * Backward an invocation has a mode and 512 positions: eight at a time against Ā⁰ … Ā⁷ in registers, Σ w Āˡ and Σ l w Āˡ;
 * a second pass adds the chunks and gives the gradients. Four multiply-adds per (mode, position); dK is read by all modes
 * of a channel, from the cache. Parallel over channels · n · length / 512.
 */
import type { KernelSet, Pass } from "../kernel.ts";
import { complex } from "./complexMath.ts";
import { digitsOf, powersPass } from "./diagonalPowers.ts";
import { into, sumOfGroup } from "./library.ts";
import { modeOf } from "./modes.ts";

/** Modes of a block. */
const block = 16;
/** Positions that one invocation of the backward pass adds up. */
const chunk = 512;
const size = 64;

/** rowPower(mode, j) = Ā⁶⁴ʲ, digit by digit. */
const rowPower = (digits: number) => /* wgsl */ `
fn rowPower(mode: u32, j: u32) -> vec2f {
  var power = vec2f(1.0, 0.0);
  for (var k = 2u; k < ${digits}u; k++) { power = times(power, powers[(mode * ${digits}u + k) * 8u + ((j >> (3u * (k - 2u))) & 7u)]); }
  return power;
}`;

export const diagonalFilter: KernelSet = {
  dynamic: ["channels", "n", "length"],

  forward(call) {
    const { channels, n, length, bilinear } = call.sizes;
    const digits = digitsOf(length);
    const rows = length <= 1024 ? 16 : 64;
    const tiles = Math.ceil(length / (64 * rows));
    const threads = 4 * rows;
    const weights: Pass = {
      reads: ["lambda: vec2f", "B: vec2f", "C: vec2f", "delta"],
      writes: ["weights: vec2f"],
      workgroups: Math.ceil((channels * n) / size),
      workgroupSize: size,
      code: /* wgsl */ `${modeOf(bilinear)}
fn run(group: u32, lane: u32) {
  let mode = group * ${size}u + lane;
  if (mode >= channels * n) { return; }
  let m = modeOf(lambda[mode], delta[mode / n]);
  weights[mode] = 2.0 * times(C[mode], times(m.g, B[mode]));
}`,
    };
    const sums: Pass = {
      reads: ["powers: vec2f", "weights: vec2f"],
      writes: ["K"],
      workgroups: channels * tiles,
      workgroupSize: threads,
      operations: 4 * channels * n * length,
      code: /* wgsl */ `${complex}${rowPower(digits)}
const tile = ${64 * rows}u;
var<workgroup> columnRe: array<vec4f, ${block * 16}>;
var<workgroup> columnIm: array<vec4f, ${block * 16}>;
var<workgroup> row: array<vec2f, ${block * rows}>;
fn run(group: u32, lane: u32) {
  let tiles = (length + tile - 1u) / tile;
  let channel = group / tiles;
  let first = (group % tiles) * ${rows}u;
  let column = lane % 16u;
  let own = (lane / 16u) * 4u;
  var sums = array<vec4f, 4>();
  for (var start = 0u; start < n; start += ${block}u) {
    let count = min(${block}u, n - start);
    for (var i = lane; i < count * 16u; i += ${threads}u) {
      let table = (channel * n + start + i / 16u) * ${8 * digits}u;
      let high = powers[table + 8u + (i % 16u) / 2u];
      let low = table + 4u * (i % 2u);
      let a = times(high, powers[low]);
      let b = times(high, powers[low + 1u]);
      let c = times(high, powers[low + 2u]);
      let d = times(high, powers[low + 3u]);
      columnRe[i] = vec4f(a.x, b.x, c.x, d.x);
      columnIm[i] = vec4f(a.y, b.y, c.y, d.y);
    }
    for (var i = lane; i < count * ${rows}u; i += ${threads}u) {
      let mode = channel * n + start + i / ${rows}u;
      row[i] = times(weights[mode], rowPower(mode, first + i % ${rows}u));
    }
    workgroupBarrier();
    for (var k = 0u; k < count; k++) {
      let re = columnRe[k * 16u + column];
      let im = columnIm[k * 16u + column];
      for (var i = 0u; i < 4u; i++) {
        let w = row[k * ${rows}u + own + i];
        sums[i] = fma(vec4f(-w.y), im, fma(vec4f(w.x), re, sums[i]));
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    for (var v = 0u; v < 4u; v++) {
      let l = (first + own + i) * 64u + 4u * column + v;
      if (l < length) { K[channel * length + l] = sums[i][v]; }
    }
  }
}`,
    };
    return {
      passes: [powersPass(call), weights, sums],
      scratch: { powers: 16 * digits * channels * n, weights: 2 * channels * n },
    };
  },

  // Σ dK[l] l Āˡ⁻¹ is taken over w[l] = dK[l + 1], since Ā may be 0: S = dK[0] + Ā T, its slope by Ā is T + Σ l w[l] Āˡ.
  backward(call) {
    const { channels, n, length, bilinear } = call.sizes;
    const digits = digitsOf(length);
    const chunks = Math.ceil(length / chunk);
    const each = (text: (d: number) => string) => Array.from({ length: 8 }, (_, d) => text(d)).join("\n");
    const partials: Pass = {
      reads: ["powers: vec2f", "d_K"],
      writes: ["partials: vec4f"],
      workgroups: Math.ceil((channels * n * chunks) / size),
      workgroupSize: size,
      operations: 8 * channels * n * length,
      code: /* wgsl */ `${complex}${rowPower(digits)}
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  let chunks = (length + ${chunk - 1}u) / ${chunk}u;
  if (i >= channels * n * chunks) { return; }
  let mode = i % n + (i / n / chunks) * n;
  let first = ((i / n) % chunks) * ${chunk}u;
  let channel = mode / n;
  let table = mode * ${8 * digits}u;
  let start = channel * length + 1u;
  ${each((d) => `let p${d} = powers[table + ${d}u];`)}
  var T = vec2f(0.0);
  var moment = vec2f(0.0);
  for (var l = first; l + 1u < min(length, first + ${chunk}u + 1u); l += 64u) {
    var rowT = vec2f(0.0);
    var rowMoment = vec2f(0.0);
    for (var k = 0u; k < 8u; k++) {
      let at = l + 8u * k;
      if (at + 1u >= length) { break; }
      let left = length - 1u - at;
      var sum = vec2f(0.0);
      var inner = vec2f(0.0);
      ${each(
        (d) => `let w${d} = select(0.0, d_K[start + min(at + ${d}u, length - 2u)], ${d}u < left);
      sum = fma(vec2f(w${d}), p${d}, sum);
      ${d > 0 ? `inner = fma(vec2f(${d}.0 * w${d}), p${d}, inner);` : ""}`,
      )}
      let power = powers[table + 8u + k];
      rowT += times(power, sum);
      rowMoment += times(power, fma(vec2f(8.0 * f32(k)), sum, inner));
    }
    let power = rowPower(mode, l / 64u);
    T += times(power, rowT);
    moment += times(power, fma(vec2f(f32(l)), rowT, rowMoment));
  }
  partials[i] = vec4f(T, moment);
}`,
    };
    const wanted = ["lambda", "B", "C", "delta"].filter((name) => call.has(`d_${name}`));
    const view = (name: string) => (name === "delta" ? "d_delta" : `d_${name}: vec2f`);
    const give = (name: string, value: string) =>
      call.has(`d_${name}`) ? `d_${name}[mode] ${into(call.adds(`d_${name}`))} conjugate(${value});` : "";
    // Inputs and gradients are nine buffers: the gradients go in two passes where all are asked for.
    const gradients = (names: readonly string[]): Pass => ({
      reads: ["lambda: vec2f", "B: vec2f", "C: vec2f", "delta", "d_K", "partials: vec4f"],
      writes: names.map(view),
      workgroups: channels,
      workgroupSize: size,
      code: /* wgsl */ `${modeOf(bilinear)}${names.includes("delta") ? sumOfGroup("f32", size) : ""}
fn run(channel: u32, lane: u32) {
  let chunks = (length + ${chunk - 1}u) / ${chunk}u;
  var total = 0.0;
  for (var k = lane; k < n; k += ${size}u) {
    let mode = channel * n + k;
    var sum = vec4f(0.0);
    for (var c = 0u; c < chunks; c++) { sum += partials[(channel * chunks + c) * n + k]; }
    let m = modeOf(lambda[mode], delta[channel]);
    let S = 2.0 * (vec2f(d_K[channel * length], 0.0) + times(m.A, sum.xy));
    let slope = 2.0 * (sum.xy + sum.zw);
    let Bbar = times(m.g, B[mode]);
    let FA = times(times(C[mode], Bbar), slope);
    let FB = times(C[mode], S);
    let Fg = times(FB, B[mode]);
    ${names.includes("C") ? give("C", "times(Bbar, S)") : ""}
    ${names.includes("B") ? give("B", "times(FB, m.g)") : ""}
    ${names.includes("lambda") ? give("lambda", "times(FA, m.AbyLambda) + times(Fg, m.gByLambda)") : ""}
    total += (times(FA, m.AbyDelta) + times(Fg, m.gByDelta)).x;
  }
  ${
    names.includes("delta")
      ? `let sum = sumOfGroup(total, lane);
  if (lane == 0u) { d_delta[channel] ${into(call.adds("d_delta"))} sum; }`
      : ""
  }
}`,
    });
    return {
      passes: [
        powersPass(call),
        partials,
        ...[wanted.slice(0, 2), wanted.slice(2)].filter((names) => names.length > 0).map(gradients),
      ],
      scratch: { powers: 16 * digits * channels * n, partials: 4 * channels * n * chunks },
    };
  },
};
