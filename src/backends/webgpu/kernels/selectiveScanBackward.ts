/**
 * Backward of the selective scan. A workgroup takes up to 32 channels of one sequence, or of a span of it, back through
 * time, from one kept state to the one before: it recomputes the 16 states between in registers, four for an invocation,
 * then walks back. What a step gives to B and C is added up over the channels of the workgroup, what it gives to u and Δ
 * over the states of the channel, both through workgroup memory; a last pass adds up over workgroups and spans. Where
 * batch · dInner does not fill the GPU, the adjoint is first carried over spans (selectiveScanSpans.ts).
 *
 * Traffic: 7 + dState / 16 floats for each step and channel, and dState / 8 for the sums; 6 more where the device binds
 * but 8 buffers, so that the gate has passes of its own. Large states share few channels, and write much for B and C.
 *
 * An invocation does for its four states, for each step: on the way there 4 exponentials, 9 multiplications, 4 fused
 * multiply-adds, and reads a cell and a vector of B; on the way back the same exponentials, but in the last of 16 steps (all
 * would take 64 registers more), 24 multiplications, 21 fused multiply-adds, and 6 exchanges and additions with neighbours
 * where those are subgroups; it reads a cell, what pulls it, a vector of B and one of C, and writes a vector and two numbers
 * (without subgroups three vectors). Of the sums it reads, for each step, a vector and, with 32 channels, two numbers
 * (without subgroups eight), and writes to slow memory what is asked for.
 */
import type { Kernel, KernelCall, Pass } from "../kernel.ts";
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
  sigmoid1,
  type Spans,
  spanExtent,
  spansOf,
  stepFunction,
  within,
} from "./selectiveScanParts.ts";
import { finishPass, gatePass, ungatePass } from "./selectiveScanSums.ts";
import { addStates, carryPass, reducePass } from "./selectiveScanSpans.ts";
import { finishCells, strideOf, sumOfQuad, sumRows, type Tile, tileOf } from "./selectiveScanTile.ts";
import { extent, Work } from "./work.ts";

export const selectiveScanBackward: Kernel = (call, gpu) => {
  const { batch, dInner } = call.sizes;
  const tile = tileOf(call, gpu);
  const spans = spansOf(call, gpu, batch * dInner * tile.share.lanes);
  const work = new Work();
  const rows = [extent(call, "batch"), spanExtent(spans)];
  if (spans.steps !== null) addStates(call, work, spans);
  work.add("initial", extent(call, "batch", "dState", "dInner"));
  work.add("sumsA", extent(call, ...rows, "dState", "dInner"));
  work.add("sumsD", extent(call, ...rows, "dInner"));
  work.add("sumsBias", extent(call, ...rows, "dInner"));
  const blocks = { count: 2 * tile.share.perBlocks, wgsl: `${2 * tile.share.perBlocks}u` };
  work.add("sumsBC", extent(call, "batch", "length", "groups", "dState", blocks));

  const given = ["u", "delta", "z", "d_y", "chunks"].filter((name) => call.has(name));
  const streams = [...given, "d_u", "d_delta", ...(call.has("z") ? ["d_z"] : [])];
  const split = streams.length + 1 > gpu.storageBuffers;
  const inputs = packable(call);
  delete inputs.state;
  if (spans.steps !== null) delete inputs.d_next_state; // it is carried to the last span
  const passes = work.pack(inputs, call, streams.length - (split ? 2 : 0), gpu.storageBuffers);
  if (spans.steps !== null) {
    passes.push(reducePass(call, work, spans, "backward", gpu), carryPass(call, work, spans, "backward"));
  }
  if (split) passes.push(gatePass(call));
  passes.push(backPass(call, work, tile, spans, split));
  if (split && call.has("d_z")) passes.push(ungatePass(call));
  passes.push(...finishPass(call, work, tile.share, spans));
  const scratch: Record<string, number> = { work: work.length };
  if (split) scratch.gated = call.length("u");
  for (const name of streams.slice(given.length)) if (!call.has(name)) scratch[name] = 1; // bound, not written
  return { passes, scratch };
};

function backPass(call: KernelCall, work: Work, tile: Tile, spans: Spans, split: boolean): Pass {
  const { share } = tile;
  const { channels, lanes, size, padded, ragged } = share;
  const phases = chunkSteps / tile.steps;
  const rows = rowsAhead(work, tile.rows ? ["B", "C"] : [], share, chunkSteps, tile.quads);
  const { batch, length, dInner, dState, groups } = call.sizes;
  const has = (name: string) => call.has(name);
  const gated = has("z") && !split;
  const names = ["u", "delta", "A", "B", "C", "D", "deltaBias", "resets", "chunks"];
  if (!split) names.push("z", "d_y");
  if (spans.steps === null) names.push("d_next_state");
  const written = ["d_u", "d_delta", ...(has("z") && !split ? ["d_z"] : [])];
  const entered =
    spans.steps !== null
      ? (m: string) => work.at("starts", `(row * dState + ${m}) * dInner + d`)
      : (m: string) => work.at("d_next_state", `(b * dState + ${m}) * dInner + d`);
  // How a gradient is put into its buffer: not at all, over what is there, or added to it; numbers, for one pipeline.
  const put = (name: string) => (has(name) ? (call.adds(name) ? 2 : 1) : 0);
  const enters = spans.steps !== null || has("d_next_state");
  const states = (at: (m: string) => string) => gather(padded, "n", at, tile.quads);
  const toStates = (at: (m: string) => string, value: string) => scatter(padded, "n", at, value, tile.quads);
  const row = (name: string, t: number) =>
    tile.rows
      ? `rows${name}[${tile.quads ? `${4 * t * lanes}u + 4u * s + turn` : `${t * lanes}u + s`}]`
      : states((m) =>
          work.at(name, `((b * length + begin + min(${t}u, count - 1u)) * groups + ofGroup) * dState + ${m}`),
        );
  const part = (value: string) => {
    const own = ragged ? `select(vec4f(0.0), ${value}, mine)` : value;
    return tile.quads ? `sumOfQuad(${own})` : own;
  };
  const partType = tile.quads ? "f32" : "vec4f";
  const slope = call.sizes.softplus ? "sigmoid(x)" : "1.0";
  const eachCell = (line: (k: number) => string) => each(Math.ceil(chunkSteps / lanes), line);
  // What comes from slow memory for 16 steps is on its way to registers while the last steps of those before are walked.
  const fetch = (begin: string) => `{
      let begin = ${begin};
      let kept = (b * ((length + ${chunkSteps - 1}u) / ${chunkSteps}u) + begin / ${chunkSteps}u) * dState;
${eachCell(
  (k) => `      {
        let at = (b * length + min(begin + s + ${k * lanes}u, end - 1u)) * dInner + d;
        u${k} = u[at];
        delta${k} = delta[at];
        ${gated ? `z${k} = z[at];` : ""}
        ${has("d_y") ? `dy${k} = ${split ? "gated" : "d_y"}[at];` : ""}
      }`,
)}
${rows.fetch}
      h = ${states((m) => `chunks[(kept + ${m}) * dInner + d]`)};
    }`;

  // Nothing is put into workgroup memory before the last of these steps, so that nothing read there need wait for it.
  const walkBack = (t: number) => /* wgsl */ `    var toB${t}: ${partType};
    var toC${t}: ${partType};
    var sum${t}: vec4f;
    {
      let cell = cells[${t * channels}u + c];
      let pull = pulls[${t * channels}u + c];
      let B = ${row("B", t)};
      let C = ${row("C", t)};
      let input = cell.x * cell.y;
      let decay = ${t === chunkSteps - 1 ? `decay${t}` : "exp2(rate * cell.x)"};
      let h = fma(B, vec4f(input), carried${t});
      g = fma(C, vec4f(pull), g);
      ${padded ? "g = select(g, vec4f(0.0), beyond);" : ""}
      let slope = g * carried${t};
      dRate = fma(slope, vec4f(cell.x), dRate);
      toB${t} = ${part("g * input")};
      toC${t} = ${part("h * pull")};
      sum${t} = vec4f(${has("z") ? "dot(C, h)" : "0.0"}, dot(g, B), dot(slope, a), 0.0);
      g = select(g * decay, vec4f(0.0), ${isCut(call, `${t}u`)});
    }`;
  const stride = strideOf(share, tile.quads);
  const store = (
    t: number,
  ) => `    parts[s * ${stride}u + c + ${(t % tile.steps) * lanes * stride}u] = toB${t};
    parts[s * ${stride}u + c + ${((t % tile.steps) + tile.steps) * lanes * stride}u] = toC${t};
    sums[own + ${(t % tile.steps) * size}u] = sum${t};`;
  const walked = (first: number) =>
    each(tile.steps, (i) => walkBack(first + tile.steps - 1 - i)) + each(tile.steps, (i) => store(first + i));
  return {
    reads: [...work.bound(names.filter(has))],
    writes: [...written, ...(split ? ["gated"] : []), "work"],
    workgroups: batch * spans.count * groups * share.perBlocks,
    workgroupSize: size,
    enable: tile.quads ? ["subgroups"] : [],
    numbers: { putU: put("d_u"), putDelta: put("d_delta"), putZ: put("d_z") },
    bytes:
      4 *
      (batch * length * dInner * (4 + (has("z") ? 2 : 0) + (has("d_y") ? 1 : 0)) +
        batch * Math.ceil(length / chunkSteps) * dInner * dState +
        2 * batch * length * groups * dState * (1 + share.perBlocks) +
        2 * batch * spans.count * dInner * (dState + 1)),
    operations: batch * length * dInner * (21 * dState + 40),
    code: /* wgsl */ `${stepFunction(call)}${sigmoid1}
${rows.memory}
var<workgroup> cells: array<vec2f, ${chunkSteps * channels}>;
var<workgroup> pulls: array<f32, ${chunkSteps * channels}>;
var<workgroup> factors: array<vec2f, ${chunkSteps * channels}>;
var<workgroup> parts: array<${partType}, ${2 * tile.steps * lanes * stride}>; // to B, to C: each (step, lane, channel)
var<workgroup> sums: array<vec4f, ${tile.steps * size}>;
${cutsText(call, chunkSteps)}
${tile.quads ? sumOfQuad : ""}
fn run(group: u32, lane: u32${tile.quads ? ", subgroupLane: u32, subgroupSize: u32" : ""}) {${placeText(share, spans)}
  let n = 4u * s;
  ${tile.quads ? "let turn = own % 4u;" : ""}
  let skip = ${has("D") ? work.at("D", "d") : "0.0"};
  let bias = ${has("deltaBias") ? work.at("deltaBias", "d") : "0.0"};
  let a = ${states((m) => work.at("A", `${m} * dInner + d`))};
  let rate = ${Math.LOG2E} * a;
  let beyond = (vec4u(0u, 1u, 2u, 3u) ${tile.quads ? "^ vec4u(turn)" : ""}) + n >= vec4u(dState);
  var g = ${enters ? states(entered) : "vec4f(0.0)"};
  var dRate = vec4f(0.0);
  var dSkip = 0.0;
  var dBias = 0.0;
  var h: vec4f;
${eachCell((k) => `  var u${k}: f32; var delta${k}: f32; var z${k}: f32; var dy${k} = 0.0;`)}
${rows.declare}
  let tiles = (end - first + ${chunkSteps - 1}u) / ${chunkSteps}u;
  ${fetch(`first + ${chunkSteps}u * (tiles - 1u)`)}
  for (var i = tiles; i > 0u; i--) {
    let begin = first + ${chunkSteps}u * (i - 1u);
    let count = min(${chunkSteps}u, end - begin);
${eachCell((k) => {
  const t = `(s + ${k * lanes}u)`;
  const cell = `${within(t, chunkSteps, (k + 1) * lanes)} * ${channels}u + c`;
  // What y before the gate is pulled by, and what the gradient of z is of that y.
  const pull = gated ? `dy${k} * z${k} * p` : `dy${k}`;
  const factor = gated ? `dy${k} * p * (1.0 + z${k} * sigmoid(-z${k}))` : "0.0";
  return `    ${(k + 1) * lanes > chunkSteps ? `if (${t} < ${chunkSteps}u) ` : ""}{
      let inside = ${t} < count;
      let x = delta${k} + bias;
      ${gated ? `let p = sigmoid(z${k});` : ""}
      cells[${cell}] = select(vec2f(0.0), vec2f(stepOf(x), u${k}), inside);
      pulls[${cell}] = select(0.0, ${pull}, inside);
      factors[${cell}] = vec2f(${slope}, ${factor});
    }`;
})}
${rows.put}${loadCuts(call, work, share, chunkSteps)}
    workgroupBarrier();
${each(
  chunkSteps,
  (t) => `    let cell${t} = cells[${t * channels}u + c];
    let decay${t} = exp2(rate * cell${t}.x);
    let carried${t} = decay${t} * ${has("resets") ? `select(h, vec4f(0.0), ${isCut(call, `${t}u`)})` : "h"};
    ${t < chunkSteps - 1 ? `h = fma(${row("B", t)}, vec4f(cell${t}.x * cell${t}.y), carried${t});` : ""}`,
)}
    for (var j = 0u; j < ${phases}u; j++) {
      switch (j) {
${each(
  phases,
  (j) => `case ${j}u: {
${j === phases - 1 ? `    if (i > 1u) ${fetch(`begin - ${chunkSteps}u`)}` : ""}
${walked((phases - 1 - j) * tile.steps)}
}`,
)}
        default: {}
      }
      workgroupBarrier();
      let from_ = ${tile.steps}u * (${phases - 1}u - j);
${finishCells(call, tile, split)}
${sumRows(tile, work)}
      workgroupBarrier();
    }
  }
  if (mine) {
    ${toStates((m) => work.at("sumsA", `(row * dState + ${m}) * dInner + d`), "dRate")}
    if (first == 0u) { ${toStates((m) => work.at("initial", `(b * dState + ${m}) * dInner + d`), "g")} }
  }
  sums[own] = vec4f(dSkip, dBias, 0.0, 0.0);
  workgroupBarrier();
  if (s == 0u && mine) {
    var all = vec4f(0.0);
    for (var l = 0u; l < ${lanes}u; l++) { all += sums[l * ${channels}u + c]; }
    ${work.at("sumsD", "row * dInner + d")} = all.x;
    ${work.at("sumsBias", "row * dInner + d")} = all.y;
  }
}`,
  };
}
