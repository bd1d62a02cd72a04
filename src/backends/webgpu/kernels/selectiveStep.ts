/**
 * An invocation has one channel of one sequence and all its states. What it reads is contiguous over channels, but for
 * r, B and C, which all share. Traffic: dtProj and logA once, the state twice.
 */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { log1p, sigmoid, softplus, weightAt } from "./library.ts";

const size = 32;

const selectiveStepForward: Kernel = (call) => {
  const { batch, dInner, dState } = call.sizes;
  const [skip, bias] = ["D", "deltaBias"].map((name) => call.has(name));
  return onePass({
    reads: ["u", "projected", "dtProj", "logA", ...(skip ? ["D"] : []), ...(bias ? ["deltaBias"] : [])],
    writes: ["state", "y"],
    workgroups: batch * Math.ceil(dInner / size),
    workgroupSize: size,
    bytes:
      4 * (call.length("dtProj") + call.length("logA") + 2 * call.length("state") + 2 * call.length("u")),
    operations: batch * dInner * (dState * 8 + 2 * call.sizes.dtRank),
    code: /* wgsl */ `${log1p}${softplus}${weightAt("dtProj", call.dtype("dtProj"), false)}
fn run(group: u32, lane: u32) {
  let b = group / ${Math.ceil(dInner / size)}u;
  let d = (group % ${Math.ceil(dInner / size)}u) * ${size}u + lane;
  if (d >= dInner) { return; }
  let row = b * (dtRank + 2u * dState);
  var delta = ${bias ? "deltaBias[d]" : "0.0"};
  for (var r = 0u; r < dtRank; r++) { delta = fma(projected[row + r], dtProj_at(r * dInner + d), delta); }
  let step = select(softplus(vec4f(delta)).x, delta, delta > 20.0);
  let input = u[b * dInner + d];
  var sum = ${skip ? "D[d] * input" : "0.0"};
  for (var n = 0u; n < dState; n++) {
    let place = (b * dState + n) * dInner + d;
    let decay = exp(-step * exp(logA[n * dInner + d]));
    let h = fma(decay, state[place], step * projected[row + dtRank + n] * input);
    state[place] = h;
    sum = fma(projected[row + dtRank + dState + n], h, sum);
  }
  y[b * dInner + d] = sum;
}`,
  });
};

export const selectiveStep: KernelSet = { forward: selectiveStepForward };

/** An invocation has one channel of one sequence: it reads what the state remembers and moves it on by one. */
const convStepForward: Kernel = (call) => {
  const { batch, channels, dConv, silu } = call.sizes;
  const perRow = Math.ceil(channels / 64);
  return onePass({
    reads: ["u", "weight", ...(call.has("bias") ? ["bias"] : [])],
    writes: ["state", "y"],
    workgroups: batch * perRow,
    code: /* wgsl */ `${sigmoid}
fn run(group: u32, lane: u32) {
  let b = group / ${perRow}u;
  let d = (group % ${perRow}u) * 64u + lane;
  if (d >= channels) { return; }
  let input = u[b * channels + d];
  var v = ${call.has("bias") ? "bias[d]" : "0.0"};
  for (var k = 0u; k < ${dConv - 1}u; k++) {
    let place = (b * ${dConv - 1}u + k) * channels + d;
    v = fma(weight[k * channels + d], state[place], v);
    if (k < ${dConv - 2}u) { state[place] = state[place + channels]; } else { state[place] = input; }
  }
  v = fma(weight[${dConv - 1}u * channels + d], input, v);
  y[b * channels + d] = ${silu ? "v * sigmoid(vec4f(v)).x" : "v"};
}`,
  });
};

export const convStep: KernelSet = { forward: convStepForward };
