/**
 * What the tiled kernels of attention share. A workgroup of 128 owns 64 rows (queries, or keys) of one head and goes over
 * the columns (keys, or queries) 32 at a time. Products of rows and columns, 4 × 4 for each invocation, pass through
 * workgroup memory 16 channels at a time, while the next 16 are on their way to registers; what becomes of them lies there
 * as weights (column, row); weights times columns go to registers, 4 rows × 4 of each 32 channels. 16 KiB in all.
 *
 * For each 16 channels of a product an invocation does 256 multiply-adds and reads 32 vectors of workgroup memory; for each
 * column it reads a vector of weights and, for every 32 channels, does 16 multiply-adds with a vector of slow memory (the
 * cache, mostly). Indices of workgroup memory are remainders of constants and counts of loops to constants, by which Dawn
 * sees that they need no check.
 */
import type { Binding } from "../kernel.ts";
import { into, isNan } from "./library.ts";

export const rowsOfTile = 64;
export const columnsOfTile = 32;
export const tileSize = 128;

/** Columns whose sums are written out in the text, so that they are fetched while others are added. */
const written = 4;

/** Queries lie as (batch, length, heads), keys as (batch, keys, kvHeads). */
export type Kind = "query" | "key";

const countOf = { query: "length", key: "keys" };
const headsOf = { query: "heads", key: "kvHeads" };

export function view(name: string, headDim: number): Binding {
  return headDim % 4 === 0 ? `${name}: vec4f` : name;
}

/**
 * `load_<name>(b, h, i, at)`: four channels of a row from `at`, a multiple of 4, on: 0 beyond the channels, some other row
 * beyond the rows. `row_<name>(p, at)`: the same of a row that begins at `p`, which `start_<name>(b, h, i)` tells.
 */
export function rowLoader(name: string, kind: Kind, headDim: number): string {
  const one = (c: number) => `select(0.0, ${name}[p + at + ${c}u], at + ${c}u < headDim)`;
  const value = headDim % 4 === 0 ? `${name}[p + at / 4u]` : `vec4f(${[0, 1, 2, 3].map(one).join(", ")})`;
  const inside = headDim % 32 === 0 ? "" : "if (at >= headDim) { return vec4f(); }";
  return /* wgsl */ `
fn start_${name}(b: u32, h: u32, i: u32) -> u32 {
  return ((b * ${countOf[kind]} + min(i, ${countOf[kind]} - 1u)) * ${headsOf[kind]} + h) * ${unitsOf(headDim)}u;
}
fn row_${name}(p: u32, at: u32) -> vec4f { ${inside} return ${value}; }
fn load_${name}(b: u32, h: u32, i: u32, at: u32) -> vec4f { return row_${name}(start_${name}(b, h, i), at); }`;
}

/** Of a row as it is bound: vectors, or numbers. */
function unitsOf(headDim: number): number {
  return headDim % 4 === 0 ? headDim / 4 : headDim;
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

/** An invocation's place in the tile; and which block of 4 × 4 of rows (the first 64) or columns (the next 32) it fetches. */
export const placeInTile = /* wgsl */ `
  let ty = lane / 8u % 16u;
  let tx = lane % 8u;
  let blockI = lane % 8u + lane / 32u % 2u * 8u;
  let blockK = lane / 8u % 4u;
  var fetched: mat4x4f;`;

/** Where a product has its rows and columns from. */
export interface Source {
  readonly row: (i: string, at: string) => string;
  readonly column: (i: string, at: string) => string;
}

/** Fetches channels from `at` on, which `products` then begins with. */
export function fetch({ row, column }: Source, at = "0u"): string {
  const block = (load: Source["row"]) =>
    `fetched = mat4x4f(${[0, 1, 2, 3].map((i) => load(`4u * blockI + ${i}u`, `${at} + 4u * blockK`)).join(", ")});`;
  return `if (lane < 64u) { ${block(row)} } else if (lane < 96u) { ${block(column)} }`;
}

/**
 * Declares mat4x4f `result`, of which result[i] has the products of row i of the invocation's four with its four columns.
 * Its first channels are fetched already; at the end, those of the product that comes `next`.
 */
export function products(result: string, headDim: number, source: Source, next: Source): string {
  const parts = Math.ceil(headDim / 16);
  const put = (tile: string, place: string) =>
    [0, 1, 2, 3].map((c) => `${tile}[4u * blockK + ${c}u][${place}] = turned[${c}];`).join(" ");
  return /* wgsl */ `
    var ${result}0 = vec4f(); var ${result}1 = vec4f(); var ${result}2 = vec4f(); var ${result}3 = vec4f();
    for (var part = 0u; part < ${parts}u; part++) {
      workgroupBarrier();
      {
        let turned = transpose(fetched);
        if (lane < 64u) { ${put("tileR", "blockI")} } else if (lane < 96u) { ${put("tileC", "lane % 8u")} }
      }
      workgroupBarrier();
      if (part < ${parts - 1}u) { ${fetch(source, "16u * (part + 1u)")} } else { ${fetch(next)} }
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
 * Adds weights × columns, whose rows of `loaded`, of kind `kind`, begin at `start`. Where not all rows of the tile see all
 * columns (`whole` is false), what is hidden is left out, not multiplied by 0: it may be NaN.
 */
export function addColumns(
  name: string,
  { loaded, kind, start }: { readonly loaded: string; readonly kind: Kind; readonly start: string },
  headDim: number,
  hidden: (row: number, column: string) => string,
): string {
  const column = (c: string, add: (chunk: number, i: number) => string) => /* wgsl */ `
        let w = weights[${c}][ty];
        let p = start + ${c} * ${headsOf[kind]} * ${unitsOf(headDim)}u;
        ${each(chunksOf(headDim), (chunk) => `let x${chunk} = row_${loaded}(p, ${32 * chunk}u + 4u * tx);`)}
        ${sums(headDim, add)}`;
  const sum = (chunk: number, i: number) => `fma(vec4f(w[${i}]), x${chunk}, ${name}${chunk}${i})`;
  return /* wgsl */ `
    {
      let start = ${start};
      if (whole) {
        for (var some = 0u; some < ${columnsOfTile / written}u; some++) {
          ${each(written, (c) => `{ ${column(`(some * ${written}u + ${c}u)`, (chunk, i) => `${name}${chunk}${i} = ${sum(chunk, i)};`)} }`)}
        }
      } else {
        for (var c = 0u; c < ${columnsOfTile}u; c++) {
          if (c >= count) { break; }
          ${column("c", (chunk, i) => `${name}${chunk}${i} = select(${sum(chunk, i)}, ${name}${chunk}${i}, ${hidden(i, "c")});`)}
        }
      }
    }`;
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
