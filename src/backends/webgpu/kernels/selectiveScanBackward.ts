/**
 * Backward of the selective scan. A workgroup takes up to 32 channels of one sequence, or of a span of it, back through
 * time, from one kept state to the one before. It goes through the 16 steps between once, to learn what each four of them
 * begin with, then takes four steps at a time, the last first: there again, with the states in registers, and back. What a
 * step gives to B and C is added up over the channels of the workgroup, what it gives to u and Δ over the states of the
 * channel: by shuffles where 16 neighbours are sure to be in one subgroup, else through workgroup memory; a last pass adds
 * up over workgroups and spans. Where batch · dInner does not fill the GPU, the adjoint is first carried over spans
 * (selectiveScanSpans.ts).
 *
 * Traffic: 7 + dState / 16 floats for each step and channel, and dState / 8 for the sums; 2 more where the device binds
 * but 8 buffers, so that the gradient of z goes by the work buffer. Large states share few channels, and write much for B and C.
 *
 * Its time is that of its instructions (docs/decisions/gpu-scan.md): for four states and a step 7 exponentials, some 60
 * multiplications and fused multiply-adds, 8 exchanges with neighbours or, without those, through workgroup memory, and 9
 * numbers or vectors read and 3 written there; for each cell, shared out over the invocations of a channel, some 150 more.
 */
import type { Kernel, KernelCall, Pass } from "../kernel.ts";
import {
  cellsText,
  chunkSteps,
  cutsText,
  each,
  gather,
  loadCuts,
  packable,
  placeText,
  rowsAhead,
  scatter,
  sigmoids,
  type Spans,
  spanExtent,
  spansOf,
  stepAndSlope,
  within,
} from "./selectiveScanParts.ts";
import { addStates, carryPass, reducePass } from "./selectiveScanSpans.ts";
import { finishPass } from "./selectiveScanSums.ts";
import {
  partsOfStep,
  putNumbers,
  sumOfLanes,
  sumOfQuad,
  sumsText,
  type Tile,
  tileOf,
} from "./selectiveScanTile.ts";
import { walkText } from "./selectiveScanWalk.ts";
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
  const apart = streams.length + 1 > gpu.storageBuffers; // the gradient of z goes by the work buffer
  if (apart) work.add("gates", extent(call, "batch", "length", "dInner"));
  const inputs = packable(call);
  delete inputs.state;
  if (spans.steps !== null) delete inputs.d_next_state; // it is carried to the last span
  const passes = work.pack(inputs, call, streams.length - (apart ? 1 : 0), gpu.storageBuffers);
  if (spans.steps !== null) {
    passes.push(reducePass(call, work, spans, "backward", gpu), carryPass(call, work, spans, "backward"));
  }
  passes.push(backPass(call, work, tile, spans, apart));
  passes.push(...finishPass(call, work, tile.share, spans));
  const scratch: Record<string, number> = { work: work.length };
  for (const name of streams.slice(given.length)) if (!call.has(name)) scratch[name] = 1; // bound, not written
  return { passes, scratch };
};

function backPass(call: KernelCall, work: Work, tile: Tile, spans: Spans, apart: boolean): Pass {
  const { share } = tile;
  const { channels, lanes, size, padded, inside } = share;
  const rows = rowsAhead(work, tile.rows ? ["B", "C"] : [], share, chunkSteps, tile.quads);
  const { batch, length, dInner, dState, groups } = call.sizes;
  const has = (name: string) => call.has(name);
  const gated = has("z");
  const names = ["u", "delta", "z", "d_y", "A", "B", "C", "D", "deltaBias", "resets", "chunks"];
  if (spans.steps === null) names.push("d_next_state");
  const written = ["d_u", "d_delta", ...(gated && !apart ? ["d_z"] : [])];
  const entered =
    spans.steps !== null
      ? (m: string) => work.at("starts", `(row * dState + ${m}) * dInner + d`)
      : (m: string) => work.at("d_next_state", `(b * dState + ${m}) * dInner + d`);
  const enters = spans.steps !== null || has("d_next_state");
  const states = (at: (m: string) => string) => gather(padded, "n", at, tile.quads);
  const toStates = (at: (m: string) => string, value: string) => scatter(padded, "n", at, value, tile.quads);
  const partType = tile.quads ? "f32" : "vec4f";
  const eachCell = (line: (k: number) => string) => each(Math.ceil(chunkSteps / lanes), line);
  // What comes from slow memory for 16 steps is on its way to registers while the 16 after them are gone through.
  const fetch = (begin: string) => `{
      let begin = ${begin};
      let kept = (b * ((length + ${chunkSteps - 1}u) / ${chunkSteps}u) + begin / ${chunkSteps}u) * dState;
${eachCell(
  (k) => `      {
        let at = (b * length + min(begin + cellS + ${k * lanes}u, end - 1u)) * dInner + cellD;
        u${k} = u[at];
        delta${k} = delta[at];
        ${gated ? `z${k} = z[at];` : ""}
        ${has("d_y") ? `dy${k} = d_y[at];` : ""}
      }`,
)}
${rows.fetch}
      h = ${states((m) => `chunks[(kept + ${m}) * dInner + d]`)};
    }`;

  const { there, back } = walkText(call, work, tile);
  return {
    reads: rows.bind(work.bound(names.filter(has))),
    writes: [...written, "work"],
    workgroups: batch * spans.count * groups * share.perBlocks,
    workgroupSize: size,
    enable: tile.quads ? ["subgroups"] : [],
    numbers: putNumbers(call),
    bytes:
      4 *
      (batch * length * dInner * (4 + (has("z") ? 2 : 0) + (has("d_y") ? 1 : 0)) +
        batch * Math.ceil(length / chunkSteps) * dInner * dState +
        2 * batch * length * groups * dState * (1 + share.perBlocks) +
        2 * batch * spans.count * dInner * (dState + 1)),
    operations: batch * length * dInner * (21 * dState + 40),
    code: /* wgsl */ `${stepAndSlope(call)}${gated ? sigmoids : ""}
${rows.memory}
var<workgroup> cells: array<vec2f, ${chunkSteps * channels}>;
var<workgroup> pulls: array<f32, ${chunkSteps * channels}>;
var<workgroup> factors: array<vec2f, ${chunkSteps * channels}>;
var<workgroup> parts: array<${partType}, ${2 * tile.steps * partsOfStep(tile)}>; // to B, to C
var<workgroup> ends: array<vec2f, ${size}>;
${sumsText(tile)}
${cutsText(call, chunkSteps)}
${tile.quads ? sumOfQuad : ""}${inside ? sumOfLanes : ""}
fn run(group: u32, lane: u32${tile.quads ? ", subgroupLane: u32, subgroupSize: u32" : ""}) {${placeText(share, spans)}
${cellsText(share)}
  let n = 4u * s;
  ${tile.quads ? "let turn = own % 4u;" : ""}
  let skip = ${has("D") ? work.at("D", "cellD") : "0.0"};
  let bias = ${has("deltaBias") ? work.at("deltaBias", "cellD") : "0.0"};
  let rate = ${Math.LOG2E} * ${states((m) => work.at("A", `${m} * dInner + d`))};
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
  const t = `(cellS + ${k * lanes}u)`;
  const cell = `${within(t, chunkSteps, (k + 1) * lanes)} * ${channels}u + cellC`;
  // What y before the gate is pulled by, and what the gradient of z is of that y.
  const pull = gated ? `dy${k} * z${k} * gate.x` : `dy${k}`;
  const factor = gated ? `dy${k} * gate.x * fma(z${k}, gate.y, 1.0)` : "0.0";
  return `    ${(k + 1) * lanes > chunkSteps ? `if (${t} < ${chunkSteps}u) ` : ""}{
      let inside = ${t} < count;
      let step = stepAndSlope(delta${k} + bias);
      ${gated ? `let gate = sigmoids(z${k});` : ""}
      cells[${cell}] = select(vec2f(0.0), vec2f(step.x, u${k}), inside);
      pulls[${cell}] = select(0.0, ${pull}, inside);
      factors[${cell}] = vec2f(step.y, ${factor});
    }`;
})}
${rows.put}${loadCuts(call, work, share, chunkSteps)}
    workgroupBarrier();
${there}
    if (i > 1u) ${fetch(`begin - ${chunkSteps}u`)}
${back}
  }
  if (mine) {
    ${toStates((m) => work.at("sumsA", `(row * dState + ${m}) * dInner + d`), "dRate")}
    if (first == 0u) { ${toStates((m) => work.at("initial", `(b * dState + ${m}) * dInner + d`), "g")} }
  }
  ends[own] = vec2f(dSkip, dBias);
  workgroupBarrier();
  if (cellS == 0u && cellMine) {
    var all = vec2f(0.0);
    for (var l = 0u; l < ${lanes}u; l++) { all += ends[l * ${channels}u + cellC]; }
    ${work.at("sumsD", "row * dInner + cellD")} = all.x;
    ${work.at("sumsBias", "row * dInner + cellD")} = all.y;
  }
}`,
  };
}
