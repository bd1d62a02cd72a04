/**
 * A workgroup takes up to 32 neighbouring channels of one sequence through time (64 where each has one invocation), a tile
 * of steps at once: the rows of B and C, and Δ′ and Δ′u of its channels, lie in workgroup memory, the next tile is on its
 * way to registers, and the states are in registers. As few invocations share a channel's states as fill the GPU. If even
 * one for every four states do not, and the sequence is long, it is cut into spans: what each does to a state is reduced,
 * carried from span to span, then all spans are scanned side by side.
 *
 * Traffic: 4 + dState / 16 (with kept states) floats for each step and channel; in spans 6, and each exponential twice.
 * Slow for one short sequence of few channels, and for large states: dState exponentials a step and channel.
 *
 * For four states and a step an invocation computes 4 exponentials, 9 multiplications and 7 fused multiply-adds and reads
 * two vectors of workgroup memory; for a step it reads its cell and writes one sum. For each cell, Δ′ and the gate take some
 * 35 operations more, shared out over the invocations of a channel.
 */
import type { Kernel, KernelCall, KernelSet, Pass } from "../kernel.ts";
import { selectiveScanBackward } from "./selectiveScanBackward.ts";
import {
  chunkSteps,
  each,
  cutsText,
  gather,
  isCut,
  loadCuts,
  packable,
  placeText,
  rowsAhead,
  scatter,
  type Share,
  shareOf,
  sigmoid1,
  type Spans,
  spansOf,
  stepFunction,
  tileSteps,
  within,
} from "./selectiveScanParts.ts";
import { addStates, carryPass, reducePass } from "./selectiveScanSpans.ts";
import { Work } from "./work.ts";

/** Vectors of four states that one invocation has at most. */
const mostVectors = 4;

/** Of the invocations that fill the GPU, the part from which on it is better that each has more states (H100). */
const enough = 3 / 4;

const forward: Kernel = (call, gpu) => {
  const { batch, dInner, dState } = call.sizes;
  const all = Math.ceil(dState / 4);
  const vectors = Math.floor((batch * dInner * all) / (enough * gpu.parallelism));
  const share = shareOf(call, Math.min(mostVectors, Math.max(1, vectors)), Math.min(256, gpu.invocations));
  const spans = spansOf(call, gpu, batch * dInner * share.lanes);
  const work = new Work();
  if (spans.steps !== null) addStates(call, work, spans);
  const streams = ["u", "delta", "z", "y", "next_state", "chunks"].filter((name) => call.has(name));
  const inputs = packable(call);
  delete inputs.d_next_state;
  if (spans.steps !== null) delete inputs.state; // it is carried to the first span
  const packing = work.pack(inputs, call, streams.length, gpu.storageBuffers);
  const before =
    spans.steps === null
      ? []
      : [reducePass(call, work, spans, "forward", gpu), carryPass(call, work, spans, "forward")];
  return {
    passes: [...packing, ...before, scanPass(call, work, share, spans)],
    scratch: work.length > 0 ? { work: work.length } : undefined,
  };
};

function scanPass(call: KernelCall, work: Work, share: Share, spans: Spans): Pass {
  const { channels, lanes, vectors, size, padded } = share;
  const { batch, length, dInner, dState, groups } = call.sizes;
  const width = lanes * vectors;
  const steps = Math.min(tileSteps(32 * width + 8 * channels + 4 * size), 8 * lanes); // 8 cells of an invocation
  const cells = Math.ceil(steps / lanes);
  const unrolled = Math.min(4, steps);
  const eachCell = (line: (k: number) => string) => each(cells, line);
  const eachVector = (line: (j: number) => string) => each(vectors, line);
  const n = (j: number) => `(s * ${4 * vectors}u + ${4 * j}u)`;
  const has = (name: string) => call.has(name);
  const kept = has("chunks");
  const inputs = ["u", "delta", "A", "B", "C", "D", "z", "deltaBias", "resets"];
  if (spans.steps === null) inputs.push("state");
  const used = inputs.filter(has);
  const region = spans.steps === null ? "state" : "starts";
  const start = (m: string) =>
    work.at(region, `(${spans.steps === null ? "b" : "row"} * dState + ${m}) * dInner + d`);
  const begins = spans.steps !== null || has("state");
  // The next tile is read while the last one is scanned: into registers.
  const rows = rowsAhead(work, ["B", "C"], share, steps);
  const fetch = (begin: string) => `{
    let begin = ${begin};
${eachCell(
  (k) => `    {
      let at = (b * length + min(begin + t${k}, end - 1u)) * dInner + d;
      u${k} = u[at];
      delta${k} = delta[at];
      ${has("z") ? `z${k} = z[at];` : ""}
    }`,
)}
${rows.fetch}
  }`;
  // The last vectors may reach past dState: what is no state stays 0, even where u is infinite.
  const clear = (j: number) =>
    padded ? `h${j} = select(h${j}, vec4f(0.0), vec4u(0u, 1u, 2u, 3u) + ${n(j)} >= vec4u(dState));` : "";
  return {
    reads: [...rows.bind(work.bound(used)), ...(work.length > 0 ? ["work"] : [])],
    writes: ["y", "next_state", ...(kept ? ["chunks"] : [])],
    workgroups: batch * spans.count * groups * share.perBlocks,
    workgroupSize: size,
    bytes:
      4 *
      (batch * length * (dInner * (has("z") ? 4 : 3) + 2 * groups * dState) +
        batch * dInner * dState * ((begins ? 1 : 0) + (kept ? Math.ceil(length / chunkSteps) : 0) + 1) +
        dInner * dState),
    operations: batch * length * dInner * (7 * dState + (call.sizes.softplus ? 20 : 2) + (has("z") ? 6 : 0)),
    code: /* wgsl */ `${stepFunction(call)}${sigmoid1}
${rows.memory}
var<workgroup> cells: array<vec2f, ${steps * channels}>;
var<workgroup> sums: array<f32, ${steps * size}>;
${cutsText(call, steps)}
fn run(group: u32, lane: u32) {${placeText(share, spans)}
  let skip = ${has("D") ? work.at("D", "d") : "0.0"};
  let bias = ${has("deltaBias") ? work.at("deltaBias", "d") : "0.0"};
${eachVector(
  (j) => `  let rate${j} = ${Math.LOG2E} * ${gather(padded, n(j), (m) => work.at("A", `${m} * dInner + d`))};
  var h${j} = ${begins ? gather(padded, n(j), start) : "vec4f(0.0)"};`,
)}
${eachCell(
  (k) => `  let t${k} = s + ${k * lanes}u;
  var u${k}: f32;
  var delta${k}: f32;
  ${has("z") ? `var z${k}: f32;` : ""}`,
)}
${rows.declare}
  ${fetch("first")}
  for (var begin = first; begin < end; begin += ${steps}u) {
    let count = min(${steps}u, end - begin);
    ${
      kept
        ? `if (begin % ${chunkSteps}u == 0u && mine) {
      let at = b * ((length + ${chunkSteps - 1}u) / ${chunkSteps}u) + begin / ${chunkSteps}u;
${eachVector((j) => `      ${scatter(padded, n(j), (m) => `chunks[(at * dState + ${m}) * dInner + d]`, `h${j}`)}`)}
    }`
        : ""
    }
${rows.put}
${eachCell(
  (k) => `    let v${k} = u${k};
    ${has("z") ? `let gate${k} = z${k};` : ""}
    ${(k + 1) * lanes > steps ? `if (t${k} < ${steps}u) ` : ""}{
      let step = stepOf(delta${k} + bias);
      cells[${within(`t${k}`, steps, (k + 1) * lanes)} * ${channels}u + c] = select(vec2f(0.0), vec2f(step, step * u${k}), t${k} < count);
    }`,
)}${loadCuts(call, work, share, steps)}
    workgroupBarrier();
    if (begin + ${steps}u < end) {
      ${fetch(`begin + ${steps}u`)}
    }
    for (var some = 0u; some < ${steps / unrolled}u; some++) {
      if (some * ${unrolled}u >= count) { break; }
${each(unrolled, (q) => `      var sum${q} = 0.0;`)}
${each(
  unrolled,
  (q) => `      {
        let t = some * ${unrolled}u + ${q}u;
        let cell = cells[t * ${channels}u + c];
        let at = t * ${width}u + s * ${vectors}u;
        let reset = ${isCut(call, "t")};
${eachVector(
  (
    j,
  ) => `        h${j} = fma(exp2(rate${j} * cell.x), select(h${j}, vec4f(0.0), reset), rowsB[at + ${j}u] * cell.y);
        ${clear(j)}
        sum${q} ${j === 0 ? "" : "+"}= dot(h${j}, rowsC[at + ${j}u]);`,
)}
      }`,
)}
${each(unrolled, (q) => `      sums[(some * ${unrolled}u + ${q}u) * ${size}u + own] = sum${q};`)}
    }
    workgroupBarrier();
${eachCell(
  (k) => `    if (t${k} < count && mine) {
      var sum = skip * v${k};
      let at = ${within(`t${k}`, steps, (k + 1) * lanes)} * ${size}u + c;
      for (var l = 0u; l < ${lanes}u; l++) { sum += sums[at + l * ${channels}u]; }
      y[(b * length + begin + t${k}) * dInner + d] = ${has("z") ? `sum * gate${k} * sigmoid(gate${k})` : "sum"};
    }`,
)}
  }
  if (mine && end == length) {
${eachVector((j) => `    ${scatter(padded, n(j), (m) => `next_state[(b * dState + ${m}) * dInner + d]`, `h${j}`)}`)}
  }
}`,
  };
}

export const selectiveScan: KernelSet = {
  dynamic: ["batch", "length"],
  forward,
  backward: selectiveScanBackward,
  // exp(Δ′A) and Δ′Bu are written and read, h too.
  naiveBytes: ({ batch, length, dInner, dState }) => 4 * batch * length * dInner * (6 * dState + 5),
};
