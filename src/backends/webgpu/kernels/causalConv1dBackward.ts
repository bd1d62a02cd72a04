/**
 * Backward of the short convolution. An invocation has one channel, or a vector of four, and goes through a span of time
 * in steps of 8 or 4: what the activation was applied to is computed anew, for the dConv − 1 steps behind too, whose
 * gradients reach back to these. Its part of the gradients of weight and bias is added up by a second pass, which also
 * puts in place what goes to the state and comes from the new one. Traffic: 3 floats an element.
 */
import type { Kernel, KernelCall, Pass } from "../kernel.ts";
import {
  type ConvShape,
  convShapeOf,
  filterText,
  loadText,
  outputText,
  reachText,
} from "./causalConv1dParts.ts";
import { into, wide } from "./library.ts";
import { extent, Work } from "./work.ts";

export const causalConv1dBackward: Kernel = (call, gpu) => {
  const shape = convShapeOf(call);
  const { batch, length, channels, dConv } = call.sizes;
  const blocks = Math.ceil(length / shape.steps);
  // Blocks of one invocation: many give few sums, but not so many that the GPU is not filled.
  const each = Math.max(1, Math.floor((batch * blocks * shape.width) / gpu.parallelism));
  const spans = Math.ceil(blocks / each);
  const work = new Work();
  const perChannel = { count: channels, wgsl: `${shape.width}u` };
  work.add(
    "sums",
    extent(call, { count: batch * spans * (dConv + 1), wgsl: `batch * spans * ${dConv + 1}u` }, perChannel),
  );
  work.add("heads", extent(call, { count: batch * (dConv - 1), wgsl: `batch * ${dConv - 1}u` }, perChannel));
  const scratch: Record<string, number> = { work: work.length };
  if (!call.has("d_u")) scratch.d_u = 1; // bound, not written
  return {
    passes: [spanPass(call, shape, work, each, spans), ...finishPass(call, shape, work, spans)],
    scratch,
  };
};

function spanPass(call: KernelCall, shape: ConvShape, work: Work, each: number, spans: number): Pass {
  const { batch, length, channels, dConv, silu } = call.sizes;
  const { type, width, steps } = shape;
  const has = (name: string) => call.has(name);
  const before = dConv - 1;
  const lines = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join("\n");
  const zero = `${type}(0.0)`;
  const slope = silu ? " * sigmoid(v) * (1.0 + v * sigmoid(-v))" : "";
  // e0 … are the gradients before the activation, of steps first …; input before + i of the window is that of step i.
  const gradient = (i: number) => `    var e${i} = ${zero};
    ${
      has("d_y")
        ? `if (first + ${i}u < length) {
      let at = (b * length + first + ${i}u) * ${width}u + d;
      ${silu ? `let v = ${filterText(call, shape, before + i)};` : ""}
      e${i} = d_y[at]${slope};
    }`
        : ""
    }`;
  // What input i of the window is given by the steps that reach back to it.
  const given = (i: number) => {
    let sum = zero;
    for (let back = 0; back <= before; back++) {
      const step = i + back - before;
      if (step < 0) continue;
      sum = `fma(w${before - back}, ${reachText(call, shape, `e${step}`, i, i + back)}, ${sum})`;
    }
    return sum;
  };
  const count = steps + 2 * before;
  return {
    reads: shape.bind(["u", "weight", "bias", "state", "resets", "d_y"].filter(has)),
    writes: shape.bind(["d_u", "work"]),
    workgroups: Math.ceil((batch * spans * width) / wide),
    workgroupSize: wide,
    numbers: { spans, each, put: has("d_u") ? (call.adds("d_u") ? 2 : 1) : 0 },
    bytes:
      4 *
      channels *
      (batch * length * (2 + (has("d_u") ? (call.adds("d_u") ? 2 : 1) : 0)) + batch * spans * (dConv + 1)),
    operations: batch * length * channels * (6 * dConv + (silu ? 10 : 0)),
    code: /* wgsl */ `${outputText(shape)}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  let d = i % ${width}u;
  let row = i / ${width}u;
  if (row >= batch * spans) { return; }
  let b = row / spans;
  let blocks = (length + ${steps - 1}u) / ${steps}u;
  let start = row % spans * each;
${lines(dConv, (k) => `  var sum${k} = ${zero};`)}
  var sum${dConv} = ${zero};
  for (var block = start; block < min(blocks, start + each); block++) {
    let first = block * ${steps}u;
${loadText(call, shape, count)}
${lines(steps + before, gradient)}
${lines(
  steps,
  (i) => `    if (put > 0u && first + ${i}u < length) {
      let at = (b * length + first + ${i}u) * ${width}u + d;
      let value = ${given(before + i)};
      if (put == 1u) { d_u[at] = value; } else { d_u[at] += value; }
    }
    sum${dConv} += e${i};
${lines(dConv, (k) => `    sum${k} = fma(e${i}, ${reachText(call, shape, `x${i + k}`, i + k, before + i)}, sum${k});`)}`,
)}
    if (first == 0u) {
${lines(before, (k) => `      ${work.at("heads", `(b * ${before}u + ${k}u) * ${width}u + d`)} = ${given(k)};`)}
    }
  }
${lines(dConv + 1, (k) => `  ${work.at("sums", `(row * ${dConv + 1}u + ${k}u) * ${width}u + d`)} = sum${k};`)}
}`,
  };
}

function finishPass(call: KernelCall, shape: ConvShape, work: Work, spans: number): Pass[] {
  const { batch, channels, dConv } = call.sizes;
  const { type, width } = shape;
  const before = dConv - 1;
  const has = (name: string) => call.has(name);
  const last = has("d_next_state") && before > 0;
  // d_next_state is for input length − (dConv − 1) + k: of u, or where that is negative of the state.
  const cut = has("resets")
    ? `for (var r = max(s + 1, 0); r < i32(length); r++) { if (resets[b * length + u32(r)] != 0) { value = ${type}(0.0); } }`
    : "";
  const fromLast = `let b = row / ${before}u;
    let s = i32(length + row % ${before}u) - ${before};
    var value = d_next_state[i];
    ${cut}`;
  const outputs = [
    {
      name: "d_state",
      rows: batch * before,
      wgsl: `batch * ${before}u`,
      code: `sum = ${work.at("heads", "i")};
    ${
      last
        ? `let b = row / ${before}u;
    // The new state's row k is this row where length + k is its place.
    let k = i32(row % ${before}u) - i32(length);
    if (k >= 0) {
      var value = d_next_state[(b * ${before}u + u32(k)) * ${width}u + d];
      let s = -1;
      ${cut}
      sum += value;
    }`
        : ""
    }
    d_state[i] ${into(call.adds("d_state"))} sum;`,
    },
    {
      name: "d_u",
      rows: last ? batch * before : 0,
      wgsl: `batch * ${before}u`,
      code: `${last ? fromLast : ""}
    if (s >= 0) { d_u[(b * length + u32(s)) * ${width}u + d] += value; }`,
    },
  ].filter(({ name, rows }) => has(name) && rows > 0);
  const sums = has("d_weight") || has("d_bias") ? [sumsPass(call, shape, work, spans)] : [];
  if (outputs.length === 0) return sums;
  const names = [...(last ? ["d_next_state"] : []), ...(last && has("resets") ? ["resets"] : [])];
  return [
    ...sums,
    {
      reads: shape.bind(["work", ...names]),
      writes: shape.bind(outputs.map(({ name }) => name)),
      workgroups: Math.ceil((outputs.reduce((sum, { rows }) => sum + rows, 0) * width) / wide),
      workgroupSize: wide,
      numbers: { spans },
      bytes: 16 * channels * batch * before,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  var i = ${wide}u * group + lane;
  let d = i % ${width}u;
  var sum = ${type}(0.0);
${outputs
  .map(
    ({ wgsl, code }) => `  if (i < ${wgsl} * ${width}u) {
    let row = i / ${width}u;
    ${code}
    return;
  }
  i -= ${wgsl} * ${width}u;`,
  )
  .join("\n")}
}`,
    },
  ];
}

/** Outputs of a workgroup of the sums, side by side; the other invocations share the spans. */
const together = 16;

/** The parts that spans gave to the gradients of weight and bias, added up: a tree, in one order. */
function sumsPass(call: KernelCall, shape: ConvShape, work: Work, spans: number): Pass {
  const { batch, channels, dConv } = call.sizes;
  const { type, width } = shape;
  const [weight, bias] = ["d_weight", "d_bias"].map((name) => call.has(name));
  const sharers = wide / together;
  return {
    reads: shape.bind(["work"]),
    writes: shape.bind([...(weight ? ["d_weight"] : []), ...(bias ? ["d_bias"] : [])]),
    workgroups: Math.ceil(((dConv + 1) * width) / together),
    workgroupSize: wide,
    numbers: { spans },
    bytes: 4 * channels * (batch * spans * (dConv + 1) + 2 * (dConv + 1)),
    operations: batch * spans * (dConv + 1) * channels,
    code: /* wgsl */ `
var<workgroup> partial: array<${type}, ${wide}>;
fn run(group: u32, lane: u32) {
  let i = ${together}u * group + lane % ${together}u;
  let sharer = lane / ${together}u;
  let inside = i < ${(dConv + 1) * width}u;
  var sum = ${type}(0.0);
  if (inside) {
    for (var r = sharer; r < batch * spans; r += ${sharers}u) { sum += ${work.at("sums", `r * ${(dConv + 1) * width}u + i`)}; }
  }
  partial[lane] = sum;
  for (var half = ${sharers / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (sharer < half) { partial[lane] += partial[lane + half * ${together}u]; }
  }
  if (sharer > 0u || !inside) { return; }
  ${weight ? `if (i < ${dConv * width}u) { d_weight[i] ${into(call.adds("d_weight"))} partial[lane]; }` : ""}
  ${bias ? `if (i >= ${dConv * width}u) { d_bias[i - ${dConv * width}u] ${into(call.adds("d_bias"))} partial[lane]; }` : ""}
}`,
  };
}
