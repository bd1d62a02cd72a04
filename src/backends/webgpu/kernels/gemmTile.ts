/**
 * A workgroup's tile of a product (gemm.ts): an invocation has 8 × 8 or 4 × 4 elements of it in registers. Both factors
 * pass through workgroup memory, 16 of inner at a time, while the next 16 are on their way to registers. Tiles go in bands
 * of eight, whose factors the cache holds.
 *
 * What keeps the multiply-adds coming: What is on its way is not touched before it is put into workgroup memory: a factor
 * that lies along inner is turned then (so no transpose is ever stored), f16 becomes f32 then, numbers beyond inner become
 * 0 then; what lies beyond rows or columns is whatever WebGPU reads there, and its products are never stored. Indices are
 * remainders of constants, by which Dawn sees that they need no check (a mask would not tell it). Neighbours fetch pieces
 * of 64 bytes or more. And the text has eight lines of the tiles, to be read while others are multiplied.
 *
 * On an H100, TFLOP/s of 2048 × 768 × 3072 and of 4096 × 4096 × 4096: a bᵀ 38 and 40, aᵀ b 39 and 42. The same
 * multiply-adds without any reading of workgroup memory reach 43 of the chip's 67: the rest is lost in what the driver
 * makes of them.
 */
import { weightAt } from "./library.ts";
import {
  type Extent,
  type Factor,
  inVectors,
  linesOf,
  type Product,
  rangesText,
  storeOf,
} from "./product.ts";

export interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** An invocation has `each` × `each` elements. */
  readonly each: 4 | 8;
  /** Teams of invocations, each with the whole tile over a slice of inner: their sums meet in workgroup memory. */
  readonly slices: number;
}

/** Length of inner in workgroup memory, and how much of it is written out in the text: fewer are slower, more compile long. */
const depth = 16;
const written = 8;

/** Tiles of a band: they read the same part of b. */
const band = 8;

/** Invocations that share a tile. */
export function invocationsOf(tile: Tile): number {
  return teamOf(tile) * tile.slices;
}

/** Invocations that have the whole tile. */
function teamOf({ rows, columns, each }: Tile): number {
  return (rows * columns) / each ** 2;
}

/** Statements that declare `row` and `column`, where the tile of workgroup `group` begins, and `tiles`, how many there are. */
export function placeOf(rows: string, columns: string, tile: Pick<Tile, "rows" | "columns">): string {
  return /* wgsl */ `let high = (${rows} + ${tile.rows - 1}u) / ${tile.rows}u;
  let across = (${columns} + ${tile.columns - 1}u) / ${tile.columns}u;
  let tiles = high * across;
  let firstOfBand = group % tiles / (${band}u * across) * ${band}u;
  let inBand = group % tiles % (${band}u * across);
  let bandHigh = min(${band}u, high - firstOfBand);
  let row = (firstOfBand + inBand % bandHigh) * ${tile.rows}u;
  let column = inBand / bandHigh * ${tile.columns}u;`;
}

/** The code of a pass that writes the sums over one of `parts` of inner into `target`. */
export function tileCode(product: Product, tile: Tile, parts: number, target: string): string {
  const { rows, columns, inner, a, b } = product;
  const { each, slices } = tile;
  const sliced = slices > 1;
  const halves = each / 4;
  const high = tile.rows / each;
  const across = tile.columns / each;
  const memory = (length: number) => {
    const own = `array<array<array<vec4f, ${length / 4}>, ${written}>, ${depth / written}>`;
    return sliced ? `array<${own}, ${slices}>` : own;
  };
  return /* wgsl */ `${parts === 1 ? rangesText(product) : ""}
var<workgroup> tileA: ${memory(tile.rows)};
var<workgroup> tileB: ${memory(tile.columns)};
${stored("a", a, rows, inner)}
${stored("b", b, columns, inner)}
fn run(group: u32, lane: u32) {
  ${placeOf(rows.code, columns.code, tile)}
  let part = group / tiles % ${parts}u;
  let matrix = group / tiles / ${parts}u;
  let steps = (${inner.code} + ${depth - 1}u) / ${depth}u;
  let member = ${sliced ? `lane % ${teamOf(tile)}u` : "lane"};
${
  sliced
    ? `  let slice = lane / ${teamOf(tile)}u % ${slices}u;
  let count = (steps + ${parts * slices - 1}u) / ${parts * slices}u; // past the last one they count as 0
  let first = (part * ${slices}u + slice) * count;`
    : `  let stepsOfPart = (steps + ${parts - 1}u) / ${parts}u;
  let first = part * stepsOfPart;
  let last = min(steps, first + stepsOfPart);`
}
  let tx = member / 2u % 8u + member / 32u % ${across / 8}u * 8u; // two neighbours read the same of b, every second of a:
  let ty = member % 2u + member / 16u % 2u * 2u + member / ${4 * across}u % ${high / 4}u * 4u; // half as many readings
  ${fetching(tile)}
${lines(each, (i) => `  ${list(halves, (j) => `var y${i}${j} = vec4f();`)}`)}
  ${fetch(product, tile, "first")}
  ${put(product, tile, "first")}
  workgroupBarrier();
  ${sliced ? "for (var n = 0u; n < count; n++) { let step = first + n;" : "for (var step = first; step < last; step++) {"}
    ${fetch(product, tile, "(step + 1u)")}
    for (var k = 0u; k < ${depth / written}u; k++) {
${sums(tile)}
    }
    workgroupBarrier();
    ${put(product, tile, "(step + 1u)")}
    workgroupBarrier();
  }
${sliced ? meeting(tile) : ""}
${lines(
  each,
  (i) => `  {
    let i = row + 4u * ty + ${(i >> 2) * 4 * high + (i & 3)}u;
    ${list(halves, (j) => `store(matrix * ${parts}u + part, i, column + 4u * tx + ${4 * j * across}u, y${i}${j});`)}
  }`,
)}
}
fn store(matrix: u32, row: u32, column: u32, sum: vec4f) {
  ${storeOf(target, rows, columns, "row", "column", "sum", parts === 1 ? product : {})}
}`;
}

/** The first team adds to its sums those of the others, two vectors of each invocation at a time, where tile a was. */
function meeting({ rows, each, slices }: Tile): string {
  const own = Array.from(
    { length: (each * each) / 4 },
    (_, i) => `y${Math.floor((4 * i) / each)}${i % (each / 4)}`,
  );
  const place = (slice: string, k: number) =>
    `tileA[${slice}][${k}][member / ${rows / 4}u % ${written}u][member % ${rows / 4}u]`;
  const rounds = Array.from({ length: own.length / 2 }, (_, i) => own.slice(2 * i, 2 * i + 2));
  const others = Array.from({ length: slices - 1 }, (_, i) => `${i + 1}u`);
  return `${rounds
    .map(
      (pair) => `  ${pair.map((y, k) => `${place("slice", k)} = ${y};`).join(" ")}
  workgroupBarrier();
  ${pair.map((y, k) => others.map((slice) => `${y} += ${place(slice, k)};`).join(" ")).join(" ")}
  workgroupBarrier();`,
    )
    .join("\n")}
  if (slice > 0u) { return; }`;
}

/** Adds the products of lines of the tiles. */
function sums({ rows, columns, each, slices }: Tile): string {
  const halves = each / 4;
  const own = slices > 1 ? "[slice]" : "";
  return lines(
    written,
    (c) => `      {
        ${list(halves, (i) => `let a${i} = tileA${own}[k][${c}][ty + ${(i * rows) / each}u];`)}
        ${list(halves, (j) => `let b${j} = tileB${own}[k][${c}][tx + ${(j * columns) / each}u];`)}
${lines(each, (i) => `        ${list(halves, (j) => `y${i}${j} = fma(vec4f(a${i >> 2}.${"xyzw"[i & 3]}), b${j}, y${i}${j});`)}`)}
      }`,
  );
}

/**
 * `stored_<role>(matrix, line, at)`: four neighbours of a line from `at`, a multiple of 4, on, as they are in memory; beside
 * the matrix, whatever WebGPU reads there. `numbers_<role>` makes numbers of them.
 */
function stored(role: "a" | "b", factor: Factor, other: Extent, inner: Extent): string {
  const { size, count } = linesOf(factor, other, inner);
  const { name, dtype = "f32" } = factor;
  const vector = inVectors(size);
  const halves = vector && dtype === "f16";
  const load = vector ? `${name}[i / 4u]` : `vec4f(${list(4, (c) => `${name}_at(i + ${c}u)`, ", ")})`;
  return /* wgsl */ `${vector ? "" : weightAt(name, dtype, false)}
fn stored_${role}(matrix: u32, line: u32, at: u32) -> vec4u {
  let i = (matrix * ${count.code} + line) * ${size.code} + at;
  return ${halves ? `vec4u(${load}, 0u, 0u)` : `bitcast<vec4u>(${load})`};
}
fn numbers_${role}(u: vec4u) -> vec4f {
  return ${halves ? "vec4f(unpack2x16float(u.x), unpack2x16float(u.y))" : "bitcast<vec4f>(u)"};
}`;
}

/** Whether some invocations fetch blocks of 4 × 4 of a and the others of b, instead of each a block of both. */
function apart(tile: Tile): boolean {
  return tile.rows + tile.columns === teamOf(tile);
}

/** Declares which block an invocation fetches, and room for it: for two, where it has one of both factors. */
function fetching(tile: Tile): string {
  const room = (name: string) => list(4, (c) => `var ${name}${c}: vec4u;`);
  return apart(tile)
    ? `let own = member % ${tile.rows}u; ${room("u")}`
    : `let own = member % ${teamOf(tile)}u; ${room("u")} ${room("v")}`;
}

/** Where a block lies in the tile, divided by 4: neighbours share lines of the factor, in pieces of 64 or 128 bytes. */
function blockOf({ rows }: Tile, { alongInner }: Factor): { k: string; i: string } {
  return alongInner
    ? { k: "own % 4u", i: `own / 4u % ${rows / 4}u` }
    : { k: "own / 8u % 4u", i: `(own % 8u + own / 32u % ${rows / 32}u * 8u)` };
}

/** Statements for the block of a and for that of b, of the invocations that have it. */
function blocks(tile: Tile, text: (role: "a" | "b", room: string) => string): string {
  return apart(tile)
    ? `if (member < ${tile.rows}u) { ${text("a", "u")} } else { ${text("b", "u")} }`
    : `{ ${text("a", "u")} }\n    { ${text("b", "v")} }`;
}

/** Fetches the blocks of a step; past the last one nobody reads them. */
function fetch(product: Product, tile: Tile, step: string): string {
  return blocks(tile, (role, room) => {
    const { k, i } = blockOf(tile, product[role]);
    const place = `let k = ${step} * ${depth}u + ${k} * 4u; let i = ${role === "a" ? "row" : "column"} + ${i} * 4u;`;
    const load = (c: number) =>
      product[role].alongInner
        ? `stored_${role}(matrix, i + ${c}u, k)`
        : `stored_${role}(matrix, k + ${c}u, i)`;
    return `${place} ${list(4, (c) => `${room}${c} = ${load(c)};`)}`;
  });
}

/** Puts them into workgroup memory: vectors along rows or columns. */
function put(product: Product, tile: Tile, step: string): string {
  return blocks(tile, (role, room) => {
    const { k, i } = blockOf(tile, product[role]);
    const block = `mat4x4f(${list(4, (c) => `numbers_${role}(${room}${c})`, ", ")})`;
    const line = (c: number) =>
      `tile${role.toUpperCase()}${tile.slices > 1 ? "[slice]" : ""}[k / ${written / 4}u][k % ${written / 4}u * 4u + ${c}u][i]`;
    const inside = (c: number) => `${step} * ${depth}u + k * 4u + ${c}u < ${product.inner.code}`;
    return `let k = ${k}; let i = ${i};
      let block = ${product[role].alongInner ? `transpose(${block})` : block};
      ${list(4, (c) => `${line(c)} = select(vec4f(), block[${c}], ${inside(c)});`)}`;
  });
}

function list(count: number, text: (i: number) => string, between = " "): string {
  return Array.from({ length: count }, (_, i) => text(i)).join(between);
}

function lines(count: number, text: (i: number) => string): string {
  return list(count, text, "\n");
}
