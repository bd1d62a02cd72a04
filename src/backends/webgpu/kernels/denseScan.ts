/**
 * The recurrence of LSSL. A workgroup has a channel of a sequence, an invocation some rows of Ā; the state lies in workgroup
 * memory, twice, so that a step has one barrier. Ā is turned first, so that neighbours read neighbours: N² floats a step,
 * from the cache. Parallel over batch · channels · N.
 * Backward: forward with all states kept, then the adjoints g[t], kept too, 2 · batch · channels · length · N floats; the
 * gradients are products of the two, an invocation a number, sums over sequences and steps in order.
 */
import type { KernelCall, KernelSet, Pass } from "../kernel.ts";
import { into } from "./library.ts";

const size = 64;

/** Invocations of a workgroup that goes through time. */
const threadsOf = (N: number) => Math.min(256, Math.max(16, 2 ** Math.ceil(Math.log2(N))));

/** States that workgroup memory has room for: one pipeline for many N. */
const roomOf = (N: number) => 2 ** Math.ceil(Math.log2(N));

function turned({ sizes: { channels, N } }: KernelCall): Pass {
  return {
    reads: ["Abar"],
    writes: ["columns"],
    workgroups: Math.ceil((channels * N * N) / size),
    workgroupSize: size,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let at = group * ${size}u + lane;
  if (at >= channels * N * N) { return; }
  columns[at] = Abar[(at / (N * N)) * N * N + (at % N) * N + (at / N) % N];
}`,
  };
}

/** Through time; \`after\` is called with the state after step t in x[now], and may use all of it. */
function forwardPass(
  call: KernelCall,
  reads: readonly string[],
  writes: readonly string[],
  after: string,
  end: string,
): Pass {
  const { batch, channels, N } = call.sizes;
  const threads = threadsOf(N);
  return {
    reads: ["u", "columns", "Bbar", ...reads, ...(call.has("state") ? ["state"] : [])],
    writes,
    workgroups: batch * channels,
    workgroupSize: threads,
    code: /* wgsl */ `
var<workgroup> x: array<f32, ${2 * roomOf(N)}>;
fn run(task: u32, lane: u32) {
  let c = task % channels;
  let b = task / channels;
  for (var n = lane; n < N; n += ${threads}u) { x[n] = ${call.has("state") ? "state[task * N + n]" : "0.0"}; }
  for (var t = 0u; t < length; t++) {
    workgroupBarrier();
    let old = (t % 2u) * N;
    let now = N - old;
    let td = (b * length + t) * channels + c;
    for (var n = lane; n < N; n += ${threads}u) {
      var sum = Bbar[c * N + n] * u[td];
      for (var k = 0u; k < N; k++) { sum += columns[(c * N + k) * N + n] * x[old + k]; }
      x[now + n] = sum;
      ${after}
    }
  }
  ${end}
}`,
  };
}

export const denseScan: KernelSet = {
  dynamic: ["batch", "length", "channels", "readouts", "N"],

  forward(call) {
    const { batch, length, channels, N, readouts } = call.sizes;
    const states = batch * length * channels * N;
    const scan = forwardPass(
      call,
      [],
      ["next_state", "states"],
      "states[td * N + n] = sum;",
      `for (var n = lane; n < N; n += ${threadsOf(N)}u) { next_state[task * N + n] = x[(length % 2u) * N + n]; }`,
    );
    const read: Pass = {
      reads: ["states", "C"],
      writes: ["y"],
      workgroups: Math.ceil((batch * length * channels * readouts) / size),
      workgroupSize: size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let at = group * ${size}u + lane;
  if (at >= batch * length * channels * readouts) { return; }
  let td = at / readouts;
  let row = (td % channels) * readouts + at % readouts;
  var sum = 0.0;
  for (var n = 0u; n < N; n++) { sum += C[row * N + n] * states[td * N + n]; }
  y[at] = sum;
}`,
    };
    return { passes: [turned(call), scan, read], scratch: { columns: channels * N * N, states } };
  },

  backward(call) {
    const { batch, length, channels, N, readouts } = call.sizes;
    const threads = threadsOf(N);
    const slopes = call.has("d_y");
    const keep = forwardPass(call, [], ["states"], "states[td * N + n] = sum;", "");
    const back: Pass = {
      reads: ["Abar", "C", ...(slopes ? ["d_y"] : []), ...(call.has("d_next_state") ? ["d_next_state"] : [])],
      writes: ["g", ...(call.has("d_state") ? ["d_state"] : [])],
      workgroups: batch * channels,
      workgroupSize: threads,
      code: /* wgsl */ `
var<workgroup> x: array<f32, ${2 * roomOf(N)}>;
fn run(task: u32, lane: u32) {
  let c = task % channels;
  let b = task / channels;
  for (var s = 0u; s <= length; s++) { // step length − 1 − s
    let old = (s % 2u) * N;
    let now = N - old;
    workgroupBarrier();
    for (var n = lane; n < N; n += ${threads}u) {
      var sum = 0.0;
      if (s == 0u) { sum = ${call.has("d_next_state") ? "d_next_state[task * N + n]" : "0.0"}; }
      else { for (var k = 0u; k < N; k++) { sum += Abar[(c * N + k) * N + n] * x[old + k]; } }
      if (s < length) {
        let td = (b * length + length - 1u - s) * channels + c;
        ${slopes ? "for (var m = 0u; m < readouts; m++) { sum += d_y[td * readouts + m] * C[(c * readouts + m) * N + n]; }" : ""}
        g[td * N + n] = sum;
        x[now + n] = sum;
      }${call.has("d_state") ? ` else { d_state[task * N + n] ${into(call.adds("d_state"))} sum; }` : ""}
    }
  }
}`,
    };
    /** A number of a gradient an invocation: \`before\` makes \`index\` of at, \`term\` is added for each step td. */
    const gradient = (
      name: string,
      count: string,
      total: number,
      reads: readonly string[],
      before: string,
      term: string,
    ): Pass[] =>
      call.has(name)
        ? [
            {
              reads,
              writes: [name],
              workgroups: Math.ceil(total / size),
              workgroupSize: size,
              code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let at = group * ${size}u + lane;
  if (at >= ${count}) { return; }
  ${before}
  var sum = 0.0;
  for (var b = 0u; b < batch; b++) {
    for (var t = 0u; t < length; t++) {
      let td = (b * length + t) * channels + c;
      ${term}
    }
  }
  ${name}[at] ${into(call.adds(name))} sum;
}`,
            },
          ]
        : [];
    const du: Pass = {
      reads: ["g", "Bbar"],
      writes: ["d_u"],
      workgroups: Math.ceil((batch * length * channels) / size),
      workgroupSize: size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let td = group * ${size}u + lane;
  if (td >= batch * length * channels) { return; }
  var sum = 0.0;
  for (var n = 0u; n < N; n++) { sum += Bbar[(td % channels) * N + n] * g[td * N + n]; }
  d_u[td] ${into(call.adds("d_u"))} sum;
}`,
    };
    const first = call.has("state") ? "state[(b * channels + c) * N + k]" : "0.0";
    return {
      passes: [
        turned(call),
        keep,
        back,
        ...(call.has("d_u") ? [du] : []),
        ...gradient(
          "d_Abar",
          "channels * N * N",
          channels * N * N,
          ["g", "states", ...(call.has("state") ? ["state"] : [])],
          "let c = at / (N * N); let n = (at / N) % N; let k = at % N;",
          `var before = ${first};
      if (t > 0u) { before = states[(td - channels) * N + k]; }
      sum += g[td * N + n] * before;`,
        ),
        ...gradient(
          "d_Bbar",
          "channels * N",
          channels * N,
          ["g", "u"],
          "let c = at / N; let n = at % N;",
          "sum += u[td] * g[td * N + n];",
        ),
        ...gradient(
          "d_C",
          "channels * readouts * N",
          channels * readouts * N,
          ["states", ...(slopes ? ["d_y"] : [])],
          "let c = at / (readouts * N); let m = (at / N) % readouts; let n = at % N;",
          slopes ? "sum += d_y[td * readouts + m] * states[td * N + n];" : "_ = states[td * N + n + m];",
        ),
      ],
      scratch: {
        columns: channels * N * N,
        states: batch * length * channels * N,
        g: batch * length * channels * N,
      },
    };
  },
};
