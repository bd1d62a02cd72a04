/**
 * An invocation has one channel, or a vector of four, and 8 steps in a row, 4 where the filter is long; the inputs that
 * they reach back to are in registers. Neighbours read them too: from the cache. Invocations behind those copy the state.
 * Traffic: 2 floats an element.
 */
import type { Kernel, KernelCall, KernelSet } from "../kernel.ts";
import { onePass } from "../kernel.ts";
import { causalConv1dBackward } from "./causalConv1dBackward.ts";
import {
  type ConvShape,
  convShapeOf,
  filterText,
  lastText,
  loadText,
  outputText,
} from "./causalConv1dParts.ts";
import { wide } from "./library.ts";

const forward: Kernel = (call) => {
  const shape = convShapeOf(call);
  const { batch, length, dConv } = call.sizes;
  const has = (name: string) => call.has(name);
  const rows = batch * (Math.ceil(length / shape.steps) + dConv - 1);
  return onePass({
    reads: shape.bind(["u", "weight", "bias", "state", "resets"].filter(has)),
    writes: shape.bind(["y", "next_state"]),
    workgroups: Math.ceil((rows * shape.width) / wide),
    workgroupSize: wide,
    operations: batch * length * call.sizes.channels * (2 * dConv + (call.sizes.silu ? 5 : 0)),
    code: forwardText(call, shape),
  });
};

function forwardText(call: KernelCall, shape: ConvShape): string {
  const { steps, width } = shape;
  const { dConv, silu } = call.sizes;
  const count = steps + dConv - 1;
  const step = (i: number) => `if (first + ${i}u < length) {
    let v = ${filterText(call, shape, dConv - 1 + i)};
    y[(b * length + first + ${i}u) * ${width}u + d] = ${silu ? "v * sigmoid(v)" : "v"};
  }`;
  return /* wgsl */ `${outputText(shape)}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  let d = i % ${width}u;
  let blocks = (length + ${steps - 1}u) / ${steps}u;
  let row = i / ${width}u;
  if (row >= batch * blocks) {
    ${lastText(call, shape)}
    return;
  }
  let b = row / blocks;
  let first = row % blocks * ${steps}u;
${loadText(call, shape, count)}
${Array.from({ length: steps }, (_, i) => step(i)).join("\n  ")}
}`;
}

export const causalConv1d: KernelSet = {
  dynamic: ["batch", "length"],
  forward,
  backward: causalConv1dBackward,
  // Padded, convolved, biased, activated: each reads and writes.
  naiveBytes: ({ batch, length, channels, silu }) => 4 * batch * length * channels * (silu ? 8 : 6),
};
