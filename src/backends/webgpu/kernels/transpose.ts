/**
 * A workgroup has a tile of 32 × 32: it reads rows of u, and writes rows of y, both in order, through workgroup memory
 * whose rows are one longer, so that a column lies in 32 banks. Traffic: two numbers an element, three where the gradient
 * is added.
 */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { into } from "./library.ts";

const tile = 32;

/** Rows of the tile that the 256 invocations have at once. */
const rows = 8;

/** to (outer, columns, rows) from (outer, rows, columns), whose sizes have these names. */
function transposed(from: string, to: string, height: "n" | "m", width: "n" | "m"): Kernel {
  return (call) => {
    const adds = to.startsWith("d_") && call.adds(to);
    const type = adds ? "f32" : "u32"; // bits are moved, those of NaN too
    const { outer, n, m } = call.sizes;
    return onePass({
      reads: [`${from}: ${type}`],
      writes: [`${to}: ${type}`],
      workgroups: outer * Math.ceil(n / tile) * Math.ceil(m / tile),
      workgroupSize: tile * rows,
      code: /* wgsl */ `
var<workgroup> square: array<${type}, ${tile * (tile + 1)}>;
fn run(group: u32, lane: u32) {
  let across = (${width} + ${tile - 1}u) / ${tile}u;
  let down = (${height} + ${tile - 1}u) / ${tile}u;
  let left = group % across * ${tile}u;
  let top = group / across % down * ${tile}u;
  let start = group / (across * down) * (n * m);
  let x = lane % ${tile}u;
  for (var k = lane / ${tile}u; k < ${tile}u; k += ${rows}u) {
    if (top + k < ${height} && left + x < ${width}) {
      square[k * ${tile + 1}u + x] = ${from}[start + (top + k) * ${width} + left + x];
    }
  }
  workgroupBarrier();
  for (var k = lane / ${tile}u; k < ${tile}u; k += ${rows}u) {
    if (left + k < ${width} && top + x < ${height}) {
      ${to}[start + (left + k) * ${height} + top + x] ${into(adds)} square[x * ${tile + 1}u + k];
    }
  }
}`,
    });
  };
}

export const transpose: KernelSet = {
  dynamic: ["outer", "n", "m"],
  forward: transposed("u", "y", "n", "m"),
  backward: transposed("d_y", "d_u", "m", "n"),
};
