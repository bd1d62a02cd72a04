/**
 * y = a b on the GPU's matrix units, for weights that are stored as f16: a is rounded to f16 on its way into workgroup
 * memory, products are added up in f32. A workgroup of four subgroups has a tile of 128 × 128, a subgroup 64 × 64 of it
 * in sixteen matrices of 16 × 16; 32 of inner are in workgroup memory at a time, the next 32 on their way to registers.
 *
 * Traffic: a is read columns / 128 times, b rows / 128 times, from the cache if it holds them. Wrong for few rows: a tile
 * costs the same however many of its rows are there. On an H100 2048 × 768 × 3072 reach 128 TFLOP/s, 4096 × 4096 × 4096
 * 249; 187 and 280 if nobody wrote y. WGSL's extension is experimental: Dawn has it behind a flag
 * (docs/architecture.md).
 */
import type { Gpu, KernelCall, Pass } from "../kernel.ts";
import { placeOf } from "./gemmTile.ts";

const tile = 128;
const depth = 32;
const size = 128;
/** Rows and columns of one matrix, and of the part of the tile that a subgroup has. */
const side = 16;
const part = 64;
/** Vectors by which lines of the tiles are longer than they need be, so that their beginnings lie in different banks. */
const padding = 2;

/** Fewest rows for which a tile is worth it. */
const fewestRows = 32;

/** Whether the forward product may run so. */
export function onTensorCores({ sizes, dtype }: Pick<KernelCall, "sizes" | "dtype">, gpu: Gpu): boolean {
  const { batch, rows, inner, columns, transposeA, transposeB } = sizes;
  return (
    gpu.matrices &&
    dtype("b") === "f16" &&
    batch === 1 &&
    transposeA === 0 &&
    transposeB === 0 &&
    rows >= fewestRows &&
    inner % depth === 0 &&
    columns % tile === 0
  );
}

export function tensorCores({ sizes }: KernelCall): Pass {
  const { rows, inner, columns } = sizes;
  const each = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i)).join("\n    ");
  const count = part / side;
  const matrices = (text: (i: number, j: number) => string) =>
    each(count, (i) => each(count, (j) => text(i, j)));
  // In vectors of four numbers, as all that follows about the tiles is.
  const [wideA, wideB] = [depth / 4, tile / 4];
  const [lineA, lineB] = [wideA + padding, wideB + padding];
  const moved = (tile * depth) / 4 / size;
  const place = (i: number) => `(lane % ${size}u + ${i * size}u)`; // a remainder needs no check of bounds
  const fetch = (k: string) => `
    ${each(moved, (i) => `a${i} = a[(min(row + ${place(i)} / ${wideA}u, rows - 1u) * inner + ${k}) / 4u + ${place(i)} % ${wideA}u];`)}
    ${each(moved, (i) => `b${i} = b[((${k} + ${place(i)} / ${wideB}u) * columns + column) / 4u + ${place(i)} % ${wideB}u];`)}`;
  const put = `
    ${each(moved, (i) => `tileA[${place(i)} / ${wideA}u * ${lineA}u + ${place(i)} % ${wideA}u] = vec4<f16>(a${i});`)}
    ${each(moved, (i) => `tileB[${place(i)} / ${wideB}u * ${lineB}u + ${place(i)} % ${wideB}u] = bitcast<vec4<f16>>(b${i});`)}`;
  const multiply = (s: number) => `{
      ${each(count, (i) => `let left${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${side}, ${side}>, row_major>(&tileA, (top + ${i * side}u) * ${lineA}u + ${(s * side) / 4}u, ${lineA}u);`)}
      ${each(count, (j) => `let right${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${side}, ${side}>, row_major>(&tileB, ${s * side * lineB}u + left / 4u + ${(j * side) / 4}u, ${lineB}u);`)}
      ${matrices((i, j) => `y${i}${j} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, y${i}${j});`)}
    }`;
  return {
    reads: ["a: vec4f", "b: vec2u"],
    writes: ["y"],
    workgroups: Math.ceil(rows / tile) * (columns / tile),
    workgroupSize: size,
    enable: ["f16", "subgroups", "chromium_experimental_subgroup_matrix"],
    operations: 2 * rows * inner * columns,
    code: /* wgsl */ `
var<workgroup> tileA: array<vec4<f16>, ${tile * lineA}>;
var<workgroup> tileB: array<vec4<f16>, ${depth * lineB}>;
var<workgroup> edge: array<f32, ${(size / 32) * side * side}>;
@diagnostic(off, chromium.subgroup_matrix_uniformity)
fn run(group: u32, lane: u32, subgroupLane: u32, subgroupSize: u32) {
  ${placeOf("rows", "columns", { rows: tile, columns: tile })}
  let subgroup = lane / 32u % ${size / 32}u;
  let top = subgroup / ${tile / part}u * ${part}u;
  let left = subgroup % ${tile / part}u * ${part}u;
  ${matrices((i, j) => `var y${i}${j}: subgroup_matrix_result<f32, ${side}, ${side}>;`)}
  ${each(moved, (i) => `var a${i}: vec4f; var b${i}: vec2u;`)}
  ${fetch("0u")}
  ${put}
  workgroupBarrier();
  for (var k = ${depth}u; k <= inner; k += ${depth}u) {
    if (k < inner) { ${fetch("k")} }
    ${each(depth / side, multiply)}
    workgroupBarrier();
    if (k < inner) { ${put} }
    workgroupBarrier();
  }
  if (row + ${tile}u <= rows) {
    ${matrices((i, j) => `subgroupMatrixStore<row_major>(&y, (row + top + ${i * side}u) * columns + column + left + ${j * side}u, y${i}${j}, columns);`)}
    return;
  }
  ${matrices(
    (i, j) => `subgroupMatrixStore<row_major>(&edge, subgroup * ${side * side}u, y${i}${j}, ${side}u);
    workgroupBarrier();
    for (var e = subgroupLane; e < ${side * side}u; e += 32u) {
      let r = row + top + ${i * side}u + e / ${side}u;
      if (r < rows) { y[r * columns + column + left + ${j * side}u + e % ${side}u] = edge[subgroup * ${side * side}u + e]; }
    }
    workgroupBarrier();`,
  )}
}`,
  };
}
