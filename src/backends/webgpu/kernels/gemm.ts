/**
 * y = a b by tiles: a workgroup has one tile of y, an invocation 8 × 8 or 4 × 4 elements of it in registers. Both factors
 * pass through workgroup memory, 16 of inner at a time, while the next 16 are on their way to registers. An invocation
 * fetches 4 × 4 blocks: a factor that lies along inner is turned in registers, so no transpose is ever stored, and eight
 * neighbours write 128 bytes in a row, so no two of them meet in a bank. Tiles go in bands of eight, whose factors the
 * cache holds.
 *
 * Traffic: a is read columns / tile times, b rows / tile times, from the cache if it holds them. Where y has few tiles
 * and inner is long, parts of inner are summed apart and a second pass adds the parts in their order.
 * Wrong for fewer than about 8 rows: see gemv.ts.
 */
import type { Dtype } from "../../../tensor/backend.ts";
import type { Pass } from "../kernel.ts";
import { into, weightAt, weightBinding, wide } from "./library.ts";

/** A size of the product: its value, and its name or value in WGSL. */
export interface Extent {
  readonly value: number;
  readonly code: string;
}

/** A factor in memory: lines of numbers, along inner or across it. */
export interface Factor {
  readonly name: string;
  readonly alongInner: boolean;
  readonly dtype?: Dtype;
}

/** y (rows, columns), one of several such products: a (rows, inner), b (inner, columns). */
export interface Product {
  readonly batch: number;
  readonly rows: Extent;
  readonly columns: Extent;
  readonly inner: Extent;
  readonly a: Factor;
  readonly b: Factor;
  readonly y: string;
  /** Whether the product is added to what y holds. */
  readonly adds: boolean;
  /** A tensor of y's shape that is added to the product, by name. */
  readonly residual?: string;
}

export interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** An invocation has `each` × `each` elements. */
  readonly each: 4 | 8;
}

/** Length of inner in workgroup memory. */
const depth = 16;

/** Tiles of a band: they read the same part of b. */
const band = 8;

/** Invocations that share a tile. */
export function invocationsOf({ rows, columns, each }: Tile): number {
  return (rows * columns) / each ** 2;
}

/** Tiles of all products together. */
export function tilesOf({ batch, rows, columns }: Product, tile: Tile): number {
  return batch * Math.ceil(rows.value / tile.rows) * Math.ceil(columns.value / tile.columns);
}

/** Whether lines of this length are whole vectors, wherever they begin. */
export function inVectors(size: Extent): boolean {
  return size.value % 4 === 0;
}

/** A binding of lines of `size` numbers. */
export function bindingOf(name: string, size: Extent, dtype: Dtype = "f32"): string {
  return weightBinding(name, dtype, inVectors(size));
}

/** How long the lines of a factor are, and how many they are; `other` is its extent that is not inner. */
export function linesOf(
  { alongInner }: Factor,
  other: Extent,
  inner: Extent,
): { size: Extent; count: Extent } {
  return alongInner ? { size: inner, count: other } : { size: other, count: inner };
}

/**
 * `load_<role>(matrix, line, at)`: four neighbours of a line from `at`, a multiple of 4, on; 0 outside of the matrix.
 * The one place that reads a factor.
 */
export function loader(role: "a" | "b", factor: Factor, other: Extent, inner: Extent): string {
  const { size, count } = linesOf(factor, other, inner);
  const one = (at: string) => `${factor.name}_at(${at})`;
  const scalars = /* wgsl */ `
    let start = (matrix * ${count.code} + line) * ${size.code} + at;
    if (at + 3u < ${size.code}) { return vec4f(${[0, 1, 2, 3].map((i) => one(`start + ${i}u`)).join(", ")}); }
    var some = vec4f(${one("start")}, 0.0, 0.0, 0.0);
    if (at + 1u < ${size.code}) { some.y = ${one("start + 1u")}; }
    if (at + 2u < ${size.code}) { some.z = ${one("start + 2u")}; }
    return some;`;
  const vector = `return ${factor.name}_at(((matrix * ${count.code} + line) * ${size.code} + at) / 4u);`;
  return /* wgsl */ `${weightAt(factor.name, factor.dtype ?? "f32", inVectors(size))}
fn load_${role}(matrix: u32, line: u32, at: u32) -> vec4f {
  if (line < ${count.code} && at < ${size.code}) { ${inVectors(size) ? vector : scalars}
  }
  return vec4f();
}`;
}

/** The passes of a product by tiles, in `parts` of inner; with more than one part, `partials` is scratch. */
export function gemm(product: Product, tile: Tile, parts: number): Pass[] {
  const { batch, rows, columns, inner, a, b, y, adds, residual } = product;
  const size = invocationsOf(tile);
  const target = parts > 1 ? "partials" : y;
  const passes: Pass[] = [
    {
      reads: [
        bindingOf(a.name, linesOf(a, rows, inner).size, a.dtype),
        bindingOf(b.name, linesOf(b, columns, inner).size, b.dtype),
        ...(residual && parts === 1 ? [bindingOf(residual, columns)] : []),
      ],
      writes: [bindingOf(target, columns)],
      workgroups: tilesOf(product, tile) * parts,
      workgroupSize: size,
      operations: 2 * batch * rows.value * columns.value * inner.value,
      code: tileCode(product, tile, parts, target),
    },
  ];
  if (parts > 1) {
    const vector = inVectors(columns);
    const matrix = `(${rows.code} * ${columns.code}${vector ? " / 4u" : ""})`;
    const elements = batch * rows.value * columns.value;
    passes.push({
      reads: [bindingOf("partials", columns), ...(residual ? [bindingOf(residual, columns)] : [])],
      writes: [bindingOf(y, columns)],
      workgroups: Math.ceil(elements / (vector ? 4 : 1) / wide),
      workgroupSize: wide,
      operations: elements * parts,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&${y})) { return; }
  let start = i / ${matrix} * ${parts}u * ${matrix} + i % ${matrix};
  var sum = partials[start];
  for (var part = 1u; part < ${parts}u; part++) { sum += partials[start + part * ${matrix}]; }
  ${y}[i] ${into(adds)} sum${residual ? ` + ${residual}[i]` : ""};
}`,
    });
  }
  return passes;
}

function tileCode(product: Product, tile: Tile, parts: number, target: string): string {
  const { rows, columns, inner, a, b } = product;
  const halves = tile.each / 4;
  const wideA = tile.rows / 4;
  const wideB = tile.columns / 4;
  const across = tile.columns / tile.each;
  const index = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i));
  const lines = (count: number, text: (i: number) => string) => index(count, text).join("\n");
  return /* wgsl */ `
var<workgroup> tileA: array<array<array<vec4f, ${wideA}>, 4>, ${depth / 4}>;
var<workgroup> tileB: array<array<array<vec4f, ${wideB}>, 4>, ${depth / 4}>;
${loader("a", a, rows, inner)}
${loader("b", b, columns, inner)}
${block("a", a)}
${block("b", b)}
fn run(group: u32, lane: u32) {
  let high = (${rows.code} + ${tile.rows - 1}u) / ${tile.rows}u;
  let across = (${columns.code} + ${tile.columns - 1}u) / ${tile.columns}u;
  let part = group / (high * across) % ${parts}u;
  let matrix = group / (high * across) / ${parts}u;
  let place = group % (high * across);
  let firstOfBand = place / (${band}u * across) * ${band}u;
  let inBand = place % (${band}u * across);
  let bandHigh = min(${band}u, high - firstOfBand);
  let row = (firstOfBand + inBand % bandHigh) * ${tile.rows}u;
  let column = inBand / bandHigh * ${tile.columns}u;
  let steps = (${inner.code} + ${depth - 1}u) / ${depth}u;
  let stepsOfPart = (steps + ${parts - 1}u) / ${parts}u;
  let first = part * stepsOfPart;
  let last = min(steps, first + stepsOfPart);
  ${fetching(tile)}
  ${across === 16 ? "let tx = (lane & 7u) + ((lane >> 5u) & 1u) * 8u; let ty = ((lane >> 3u) & 3u) + (lane >> 6u) * 4u;" : `let tx = lane % ${across}u; let ty = lane / ${across}u;`}
${lines(tile.each, (i) => index(halves, (j) => `  var y${i}${j} = vec4f();`).join(""))}
  for (var step = first; step <= last; step++) {
    if (step < last) { ${fetch(tile)} }
    if (step > first) { // what the last step put into the tiles
      workgroupBarrier();
    for (var k = 0u; k < ${depth / 4}u; k++) {
      for (var c = 0u; c < 4u; c++) {
        ${index(halves, (i) => `let a${i} = tileA[k][c][ty + ${(i * wideA) / halves}u];`).join(" ")}
        ${index(halves, (j) => `let b${j} = tileB[k][c][tx + ${(j * wideB) / halves}u];`).join(" ")}
${lines(tile.each, (i) => `        ${index(halves, (j) => `y${i}${j} = fma(vec4f(a${i >> 2}.${"xyzw"[i & 3]}), b${j}, y${i}${j});`).join(" ")}`)}
      }
    }
    workgroupBarrier();
    }
    if (step < last) { ${storing(tile)} }
  }
${lines(
  tile.each,
  (i) => `  {
    let i = row + 4u * ty + ${(i >> 2) * (tile.rows / 2) + (i & 3)}u;
    ${index(halves, (j) => `store(matrix * ${parts}u + part, i, column + 4u * tx + ${(j * tile.columns) / 2}u, y${i}${j});`).join("\n    ")}
  }`,
)}
}
fn store(matrix: u32, row: u32, column: u32, sum: vec4f) {
  ${storeOf(target, rows, columns, "row", "column", "sum", parts === 1 ? product : {})}
}`;
}

/** Statements that put four sums of a row into the result, as far as they are inside of it. */
export function storeOf(
  target: string,
  rows: Extent,
  columns: Extent,
  row: string,
  column: string,
  sum: string,
  { adds = false, residual }: Partial<Pick<Product, "adds" | "residual">>,
): string {
  const at = `(matrix * ${rows.code} + ${row}) * ${columns.code} + ${column}`;
  const body = inVectors(columns)
    ? `${target}[(${at}) / 4u] ${into(adds)} ${sum}${residual ? ` + ${residual}[(${at}) / 4u]` : ""};`
    : ["x", "y", "z", "w"]
        .map(
          (c, i) =>
            `if (${column} + ${i}u < ${columns.code}) { ${target}[${at} + ${i}u] ${into(adds)} ${sum}.${c}${residual ? ` + ${residual}[${at} + ${i}u]` : ""}; }`,
        )
        .join("\n    ");
  return `if (${row} < ${rows.code} && ${column} < ${columns.code}) {
    ${body}
  }`;
}

/** `block_<role>`: 4 × 4 numbers from (inner k, other i): four vectors along the other extent. */
function block(role: "a" | "b", { alongInner }: Factor): string {
  const load = (i: number) =>
    alongInner ? `load_${role}(matrix, i + ${i}u, k)` : `load_${role}(matrix, k + ${i}u, i)`;
  const square = `mat4x4f(${[0, 1, 2, 3].map(load).join(", ")})`;
  return /* wgsl */ `
fn block_${role}(matrix: u32, k: u32, i: u32) -> mat4x4f {
  return ${alongInner ? `transpose(${square})` : square};
}`;
}

/** Whether some invocations fetch blocks of a and the others of b, instead of each a block of both. */
function apart(tile: Tile): boolean {
  return tile.rows + tile.columns === invocationsOf(tile);
}

/** Declares the blocks that an invocation fetches, and where they lie in the tile. */
function fetching(tile: Tile): string {
  const own = apart(tile) ? `select(lane - ${tile.rows}u, lane, lane < ${tile.rows}u)` : "lane";
  return /* wgsl */ `let own = ${own};
  let ownK = (own >> 3u) & 3u;
  let ownI = (own & 7u) + (own >> 5u) * 8u;
  var one: mat4x4f;
  ${apart(tile) ? "" : "var two: mat4x4f;"}`;
}

function fetch(tile: Tile): string {
  const load = (role: string) =>
    `block_${role}(matrix, step * ${depth}u + 4u * ownK, ${role === "a" ? "row" : "column"} + 4u * ownI)`;
  return apart(tile)
    ? `if (lane < ${tile.rows}u) { one = ${load("a")}; } else { one = ${load("b")}; }`
    : `one = ${load("a")}; two = ${load("b")};`;
}

function storing(tile: Tile): string {
  const put = (name: string, block: string) =>
    [0, 1, 2, 3].map((c) => `${name}[ownK][${c}][ownI] = ${block}[${c}];`).join(" ");
  return apart(tile)
    ? `if (lane < ${tile.rows}u) { ${put("tileA", "one")} } else { ${put("tileB", "one")} }`
    : `${put("tileA", "one")}\n    ${put("tileB", "two")}`;
}
