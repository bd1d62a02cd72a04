/**
 * What the tiled kernels of attention share. A workgroup of 128 owns 64 rows (queries, or keys) of one head and goes over
 * the columns (keys, or queries) 32 at a time. Products of rows and columns, 4 × 4 for each invocation, pass through
 * workgroup memory 16 channels at a time; what becomes of them lies there as weights (column, row); weights times columns
 * go to registers, 4 rows × 4 of each 32 channels. 16 KiB in all.
 */
import type { Binding } from "../kernel.ts";
import { into, isNan } from "./library.ts";

export const rowsOfTile = 64;
export const columnsOfTile = 32;
export const tileSize = 128;

/** Queries lie as (batch, length, heads), keys as (batch, keys, kvHeads). */
export type Kind = "query" | "key";

const countOf = { query: "length", key: "keys" };
const headsOf = { query: "heads", key: "kvHeads" };

export function view(name: string, headDim: number): Binding {
  return headDim % 4 === 0 ? `${name}: vec4f` : name;
}

/** `load_<name>(b, h, i, at)`: four channels of a row from `at`, a multiple of 4, on; 0 outside. */
export function rowLoader(name: string, kind: Kind, headDim: number): string {
  const start = `((b * ${countOf[kind]} + i) * ${headsOf[kind]} + h) * headDim + at`;
  const one = (c: number) => `select(0.0, ${name}[p + ${c}u], at + ${c}u < headDim)`;
  const four =
    headDim % 4 === 0
      ? `return ${name}[(${start}) / 4u];`
      : `let p = ${start}; return vec4f(${[0, 1, 2, 3].map(one).join(", ")});`;
  return /* wgsl */ `
fn load_${name}(b: u32, h: u32, i: u32, at: u32) -> vec4f {
  if (i < ${countOf[kind]} && at < headDim) { ${four} }
  return vec4f();
}`;
}

/** `store_<name>(b, h, i, at, x)`, its counterpart. */
export function rowStorer(name: string, kind: Kind, headDim: number, adds: boolean): string {
  const put = (c: string, i: number) =>
    `if (at + ${i}u < headDim) { ${name}[p + ${i}u] ${into(adds)} x.${c}; }`;
  return /* wgsl */ `
fn store_${name}(b: u32, h: u32, i: u32, at: u32, x: vec4f) {
  if (i >= ${countOf[kind]} || at >= headDim) { return; }
  let p = ((b * ${countOf[kind]} + i) * ${headsOf[kind]} + h) * headDim + at;
  ${headDim % 4 === 0 ? `${name}[p / 4u] ${into(adds)} x;` : ["x", "y", "z", "w"].map(put).join(" ")}
}`;
}

/** exp(x), NaN where x is: WGSL's own need not keep it. */
export const shareOf = /* wgsl */ `
fn shareOf(x: vec4f) -> vec4f {
  return select(exp(x), x, (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u));
}`;

/** The logarithm of a sum of exponentials whose largest was `most`, NaN where the sum is. */
export const logOfSum = /* wgsl */ `${isNan}
fn logOfSum(most: f32, sum: f32) -> f32 {
  return select(most + log(sum), sum, isNan(sum));
}`;

export const tileMemory = /* wgsl */ `${shareOf}
var<workgroup> tileR: array<array<vec4f, 16>, 16>;
var<workgroup> tileC: array<array<vec4f, 8>, 16>;
var<workgroup> weights: array<array<vec4f, 16>, 32>;`;

/** Where the first query stands among the keys. */
export function startOf(positioned: boolean): string {
  return `let start = ${positioned ? "position[0]" : "i32(keys) - i32(length)"};`;
}

/** An invocation's place in the tile. */
export const placeInTile = /* wgsl */ `
  let ty = lane / 8u;
  let tx = lane % 8u;
  let blockI = 4u * ((lane & 7u) + select(0u, lane >> 5u, lane < 64u) * 8u);
  let blockK = (lane >> 3u) & 3u;`;

/** Declares mat4x4f `result`, of which result[i] has the products of row i of the invocation's four with its four columns. */
export function products(
  result: string,
  row: (i: string, at: string) => string,
  column: (i: string, at: string) => string,
): string {
  const fetch = (load: typeof row) =>
    `transpose(mat4x4f(${[0, 1, 2, 3].map((i) => load(`blockI + ${i}u`, "at + 4u * blockK")).join(", ")}))`;
  const put = (tile: string) =>
    [0, 1, 2, 3].map((c) => `${tile}[4u * blockK + ${c}u][blockI / 4u] = fetched[${c}];`).join(" ");
  return /* wgsl */ `
    var ${result}0 = vec4f(); var ${result}1 = vec4f(); var ${result}2 = vec4f(); var ${result}3 = vec4f();
    for (var at = 0u; at < headDim; at += 16u) {
      workgroupBarrier();
      if (lane < 64u) { let fetched = ${fetch(row)}; ${put("tileR")} }
      else if (lane < 96u) { let fetched = ${fetch(column)}; ${put("tileC")} }
      workgroupBarrier();
      for (var k = 0u; k < 16u; k++) {
        let a = tileR[k][ty];
        let c = tileC[k][tx];
        ${four((i) => `${result}${i} = fma(vec4f(a[${i}]), c, ${result}${i});`)}
      }
    }
    var ${result} = mat4x4f(${result}0, ${result}1, ${result}2, ${result}3);`;
}

/** Puts mat4x4f `name` where all invocations find it. */
export function putWeights(name: string): string {
  return /* wgsl */ `
    workgroupBarrier();
    { let turned = transpose(${name}); ${four((i) => `weights[4u * tx + ${i}u][ty] = turned[${i}];`)} }
    workgroupBarrier();`;
}

/** Parts of 32 channels. */
export function chunksOf(headDim: number): number {
  return Math.ceil(headDim / 32);
}

export function declareSums(name: string, headDim: number): string {
  return sums(headDim, (chunk, i) => `var ${name}${chunk}${i} = vec4f();`);
}

/**
 * Adds weights × columns. Where not all rows of the tile see all columns (`whole` is false), what is hidden is left out,
 * not multiplied by 0: it may be NaN.
 */
export function addColumns(
  name: string,
  headDim: number,
  column: (i: string, at: string) => string,
  hidden: (row: number, column: string) => string,
): string {
  const loop = (add: (chunk: number, i: number) => string) => /* wgsl */ `
      for (var c = 0u; c < count; c++) {
        let w = weights[c][ty];
        ${each(chunksOf(headDim), (chunk) => `let x${chunk} = ${column("c", `${32 * chunk}u + 4u * tx`)};`)}
        ${sums(headDim, add)}
      }`;
  const sum = (chunk: number, i: number) => `fma(vec4f(w[${i}]), x${chunk}, ${name}${chunk}${i})`;
  return /* wgsl */ `
    if (whole) { ${loop((chunk, i) => `${name}${chunk}${i} = ${sum(chunk, i)};`)} }
    else { ${loop((chunk, i) => `${name}${chunk}${i} = select(${sum(chunk, i)}, ${name}${chunk}${i}, ${hidden(i, "c")});`)} }`;
}

/** Text for each vector of sums: of each chunk of channels, and each row. */
export function sums(headDim: number, text: (chunk: number, i: number) => string): string {
  return each(chunksOf(headDim), (chunk) => four((i) => text(chunk, i)));
}

export function four(text: (i: number) => string): string {
  return each(4, text);
}

export function each(count: number, text: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => text(i)).join("\n        ");
}
