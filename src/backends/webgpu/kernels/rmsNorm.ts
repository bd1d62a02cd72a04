/**
 * A workgroup has one row: it is read twice, the second time from the cache. Traffic: forward 2, backward 3 floats an
 * element. The gradient of gain: a workgroup adds up a block of rows for 64 channels, a second pass adds the blocks.
 */
import { type KernelSet, onePass, type Pass } from "../kernel.ts";
import { into, sumOfGroup } from "./library.ts";

const size = 64;

/** Rows that one invocation of the gain's gradient adds up. */
const rowsPerBlock = 64;

const scaleOfRow = /* wgsl */ `${sumOfGroup("f32", size)}
fn scaleOfRow(row: u32, lane: u32) -> f32 {
  var squares = 0.0;
  for (var j = lane; j < dModel; j += ${size}u) { let x = u[row * dModel + j]; squares = fma(x, x, squares); }
  return 1.0 / sqrt(sumOfGroup(squares, lane) / f32(dModel) + epsilon);
}`;

export const rmsNorm: KernelSet = {
  floats: ["epsilon"],
  dynamic: ["rows", "epsilon"],

  forward: ({ sizes: { rows } }) =>
    onePass({
      reads: ["u", "gain"],
      writes: ["y"],
      workgroups: rows,
      workgroupSize: size,
      code: /* wgsl */ `${scaleOfRow}
fn run(row: u32, lane: u32) {
  let r = scaleOfRow(row, lane);
  for (var j = lane; j < dModel; j += ${size}u) { y[row * dModel + j] = gain[j] * u[row * dModel + j] * r; }
}`,
    }),

  backward(call) {
    const { rows, dModel } = call.sizes;
    const blocks = Math.ceil(rows / rowsPerBlock);
    const passes: Pass[] = [];
    // r of each row is kept for the gain's gradient: there a workgroup has columns, and would need it for every row.
    const wantsInput = call.has("d_u");
    const wantsGain = call.has("d_gain");
    passes.push({
      reads: ["u", "gain", "d_y"],
      writes: [...(wantsInput ? ["d_u"] : []), ...(wantsGain ? ["scales"] : [])],
      workgroups: rows,
      workgroupSize: size,
      code: /* wgsl */ `${scaleOfRow}
fn run(row: u32, lane: u32) {
  let at = row * dModel;
  let r = scaleOfRow(row, lane);
  var product = 0.0;
  for (var j = lane; j < dModel; j += ${size}u) { product = fma(gain[j] * d_y[at + j], u[at + j], product); }
  let pull = r * r * sumOfGroup(product, lane) / f32(dModel);
  ${
    wantsInput
      ? `for (var j = lane; j < dModel; j += ${size}u) {
    d_u[at + j] ${into(call.adds("d_u"))} r * (gain[j] * d_y[at + j] - u[at + j] * pull);
  }`
      : "_ = pull;"
  }
  ${wantsGain ? "if (lane == 0u) { scales[row] = r; }" : ""}
}`,
    });
    if (!wantsGain) return { passes };
    passes.push({
      reads: ["u", "d_y", "scales"],
      writes: ["partials"],
      workgroups: blocks * Math.ceil(dModel / size),
      workgroupSize: size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let block = group / ${Math.ceil(dModel / size)}u;
  let j = (group % ${Math.ceil(dModel / size)}u) * ${size}u + lane;
  if (j >= dModel) { return; }
  var sum = 0.0;
  for (var row = block * ${rowsPerBlock}u; row < min(rows, (block + 1u) * ${rowsPerBlock}u); row++) {
    sum = fma(d_y[row * dModel + j] * u[row * dModel + j], scales[row], sum);
  }
  partials[block * dModel + j] = sum;
}`,
    });
    passes.push({
      reads: ["partials"],
      writes: ["d_gain"],
      workgroups: Math.ceil(dModel / size),
      workgroupSize: size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let j = group * ${size}u + lane;
  if (j >= dModel) { return; }
  var sum = 0.0;
  for (var block = 0u; block < (rows + ${rowsPerBlock - 1}u) / ${rowsPerBlock}u; block++) { sum += partials[block * dModel + j]; }
  d_gain[j] ${into(call.adds("d_gain"))} sum;
}`,
    });
    return { passes, scratch: { scales: rows, partials: blocks * dModel } };
  },
};
