/**
 * y = a b on the GPU's matrix units, for weights that are stored as f16: a is rounded to f16 on its way into workgroup
 * memory, products are added up in f32. A workgroup of eight subgroups has a tile of 128 × 128, a subgroup 64 × 32 of it
 * in eight matrices of 16 × 16; 32 of inner are in workgroup memory at a time, the next 32 on their way to registers.
 *
 * Traffic: a is read columns / 128 times, b rows / 128 times, from the cache if it holds them. Wrong for few rows: a tile
 * costs the same however many of its rows are there. WGSL's extension is experimental: Dawn has it behind a flag
 * (docs/architecture.md).
 */
import type { Gpu, KernelCall, Pass } from "../kernel.ts";

const tile = 128;
const depth = 32;
const size = 256;
/** Rows and columns of one matrix. */
const side = 16;
/** Lines of the tiles are longer than they need be, so that their beginnings lie in different banks. */
const padding = 8;

/** Fewest rows for which a tile is worth it. */
const fewestRows = 32;

/** Whether the forward product may run so. */
export function onTensorCores({ sizes, dtype }: KernelCall, gpu: Gpu): boolean {
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
  const lineA = depth + padding;
  const lineB = tile + padding;
  const each = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i)).join("\n    ");
  const matrices = (text: (i: number, j: number) => string) => each(4, (i) => each(2, (j) => text(i, j)));
  // An invocation moves 4 vectors of 4 numbers of each tile.
  const vectorsA = (tile * depth) / 4 / size;
  const vectorsB = (tile * depth) / 4 / size;
  return {
    reads: ["a: vec4f", "b: vec2u"],
    writes: ["y"],
    workgroups: Math.ceil(rows / tile) * (columns / tile),
    workgroupSize: size,
    enable: ["f16", "subgroups", "chromium_experimental_subgroup_matrix"],
    operations: 2 * rows * inner * columns,
    code: /* wgsl */ `
var<workgroup> tileA: array<f16, ${tile * lineA}>;
var<workgroup> tileB: array<f16, ${depth * lineB}>;
var<workgroup> edge: array<f32, ${(size / 32) * side * side}>;
@diagnostic(off, chromium.subgroup_matrix_uniformity)
fn run(group: u32, lane: u32, subgroupLane: u32, subgroupSize: u32) {
  let row = group / ${columns / tile}u * ${tile}u;
  let column = group % ${columns / tile}u * ${tile}u;
  let subgroup = lane / 32u;
  let top = subgroup / 4u * 64u;
  let left = subgroup % 4u * 32u;
  ${matrices((i, j) => `var y${i}${j}: subgroup_matrix_result<f32, ${side}, ${side}>;`)}
  ${each(vectorsA, (i) => `var a${i}: vec4f;`)}
  ${each(vectorsB, (i) => `var b${i}: vec2u;`)}
  for (var k = 0u; k <= inner; k += ${depth}u) {
    if (k < inner) {
      ${each(vectorsA, (i) => {
        const place = `(lane + ${i * size}u)`;
        const line = `row + ${place} / ${depth / 4}u`;
        return `a${i} = vec4f(); if (${line} < rows) { a${i} = a[((${line}) * inner + k) / 4u + ${place} % ${depth / 4}u]; }`;
      })}
      ${each(vectorsB, (i) => {
        const place = `(lane + ${i * size}u)`;
        return `b${i} = b[((k + ${place} / ${tile / 4}u) * columns + column) / 4u + ${place} % ${tile / 4}u];`;
      })}
    }
    if (k > 0u) {
      workgroupBarrier();
      for (var s = 0u; s < ${depth}u; s += ${side}u) {
        ${each(4, (i) => `let left${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${side}, ${side}>, row_major>(&tileA, (top + ${i * side}u) * ${lineA}u + s, ${lineA}u);`)}
        ${each(2, (j) => `let right${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${side}, ${side}>, row_major>(&tileB, s * ${lineB}u + left + ${j * side}u, ${lineB}u);`)}
        ${matrices((i, j) => `y${i}${j} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, y${i}${j});`)}
      }
      workgroupBarrier();
    }
    if (k < inner) {
      ${each(vectorsA, (i) => {
        const place = `(lane + ${i * size}u)`;
        return `{ let at = ${place} / ${depth / 4}u * ${lineA}u + ${place} % ${depth / 4}u * 4u; let v = vec4<f16>(a${i}); tileA[at] = v.x; tileA[at + 1u] = v.y; tileA[at + 2u] = v.z; tileA[at + 3u] = v.w; }`;
      })}
      ${each(vectorsB, (i) => {
        const place = `(lane + ${i * size}u)`;
        return `{ let at = ${place} / ${tile / 4}u * ${lineB}u + ${place} % ${tile / 4}u * 4u; let v = bitcast<vec4<f16>>(b${i}); tileB[at] = v.x; tileB[at + 1u] = v.y; tileB[at + 2u] = v.z; tileB[at + 3u] = v.w; }`;
      })}
    }
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
