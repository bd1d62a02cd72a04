/**
 * A workgroup has 16 channels of one sequence; for each of them 16 invocations share the states and the inner product
 * that gives Δ. All that an invocation reads is asked for before the first use of any: for one token the time of a load is
 * longer than that of all bytes. What x_proj made comes in parts that are to be added up, which every workgroup does
 * for itself, in a fixed order. Traffic: dtProj and logA once (for further sequences from
 * the caches), the state twice; the parts from the caches.
 */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { log1p, pinned, scalar, softplus, sumText, weightAt } from "./library.ts";
import { moved, rowText, turnsOf } from "./stepText.ts";

const size = 256;

/** Channels of a workgroup. */
export const stepChannels = 16;

/** Invocations of a channel. */
const sharers = size / stepChannels;

const selectiveStepForward: Kernel = (call) => {
  const { batch, dInner, dState, dtRank, parts } = call.sizes;
  const [skip, bias, gate] = ["D", "deltaBias", "z"].map((name) => call.has(name));
  const projected = rowText(parts, dtRank + 2 * dState, size);
  const perRow = Math.ceil(dInner / stepChannels);
  const ranks = turnsOf(dtRank, sharers, "r");
  const states = turnsOf(dState, sharers, "n");

  const loads: (readonly [string, string])[] = [
    ...ranks(({ index, i }) => [`w${i}`, `dtProj_at(${index} * dInner + d)`] as const),
    ...states(({ index, i }) => [`a${i}`, `logA[${index} * dInner + d]`] as const),
    ...states(({ index, i }) => [`h${i}`, `state[(b * dState + ${index}) * dInner + d]`] as const),
    ["input", "u[b * dInner + d]"],
    ["deltaStart", bias ? "deltaBias[d]" : "0.0"],
    ...(skip ? [["skipped", "D[d]"] as const] : []),
    ...(gate ? [["gate", "z[b * dInner + d]"] as const] : []),
  ];
  return onePass({
    reads: [
      "u",
      projected.binding,
      "dtProj",
      "logA",
      ...["D", "deltaBias", "z"].filter((name) => call.has(name)),
    ],
    writes: ["state", "y"],
    workgroups: batch * perRow,
    workgroupSize: size,
    bytes: moved(call) + 4 * call.length("y"),
    operations: batch * dInner * (dState * 8 + 2 * dtRank),
    code: /* wgsl */ `${scalar(log1p + softplus)}${weightAt("dtProj", call.dtype("dtProj"), false)}
${projected.declarations}
var<workgroup> deltas: array<f32, ${size}>;
var<workgroup> outputs: array<f32, ${size}>;
fn run(group: u32, lane: u32) {
  let b = group / ${perRow}u;
  let channel = lane % ${stepChannels}u;
  let sharer = lane / ${stepChannels}u;
  let inside = (group % ${perRow}u) * ${stepChannels}u + channel < dInner;
  let d = min((group % ${perRow}u) * ${stepChannels}u + channel, dInner - 1u);
  ${projected.ahead("b")}
  ${pinned("inside", "f32", loads)}

  ${projected.statements("b")}

  var product = 0.0;
  ${ranks(({ index, i, guard }) => guard(`product = fma(${projected.at(index)}, w${i}, product);`)).join("\n  ")}
  deltas[lane] = product;
  workgroupBarrier();
  let delta = deltaStart + ${sumText(sharers, (i) => `deltas[channel + ${i * stepChannels}u]`)};
  let step = select(softplus(delta), delta, delta > 20.0);

  var output = 0.0;
  ${states(({ index, i, guard }) =>
    guard(`{
    let h = fma(exp(-step * exp(a${i})), h${i}, step * ${projected.at(`${dtRank}u + ${index}`)} * input);
    if (inside) { state[(b * dState + ${index}) * dInner + d] = h; }
    output = fma(${projected.at(`${dtRank + dState}u + ${index}`)}, h, output);
  }`),
  ).join("\n  ")}
  outputs[lane] = output;
  workgroupBarrier();
  if (sharer == 0u && inside) {
    let sum = ${skip ? "skipped * input + " : ""}${sumText(sharers, (i) => `outputs[channel + ${i * stepChannels}u]`)};
    y[b * dInner + d] = sum${gate ? " * gate / (1.0 + exp(-gate))" : ""};
  }
}`,
  });
};

export const selectiveStep: KernelSet = { forward: selectiveStepForward };
