/**
 * What a span of time does to a state, forward and backward. Its start comes to its end as exp(A ΣΔ′) start + rest, so
 * ΣΔ′ for each channel and the rest for each state are reduced, all spans side by side; then each state is carried
 * through the spans, one after the other. Backward in time the adjoint is carried, which needs no h. Traffic: forward 2,
 * backward 3 floats for each step and channel, and 3 for each state and span. For four states and a step an invocation
 * computes 4 exponentials, 8 multiplications and 4 fused multiply-adds and reads a cell and a vector of workgroup memory.
 */
import type { Gpu, KernelCall, Pass } from "../kernel.ts";
import { wide } from "./library.ts";
import {
  each,
  cutsText,
  gather,
  isCut,
  loadCuts,
  placeText,
  rowsAhead,
  scatter,
  shareOf,
  sigmoid1,
  type Spans,
  spanExtent,
  stepFunction,
  tileSteps,
  within,
} from "./selectiveScanParts.ts";
import { extent, type Work } from "./work.ts";

export type Direction = "forward" | "backward";

/** Regions: `starts`, what a span is entered with; `drifts`, its ΣΔ′; `cuts`, 1 where it holds a reset. */
export function addStates(call: KernelCall, work: Work, spans: Spans): void {
  const all = spanExtent(spans);
  work.add("starts", extent(call, "batch", all, "dState", "dInner"));
  work.add("drifts", extent(call, "batch", all, "dInner"));
  work.add("cuts", extent(call, "batch", all));
}

/** Writes into `starts` what a span that is entered with 0 is left with, and its drift and cut. */
export function reducePass(call: KernelCall, work: Work, spans: Spans, direction: Direction, gpu: Gpu): Pass {
  const share = shareOf(call, 1, Math.min(256, gpu.invocations));
  const { channels, lanes, vectors, size, padded } = share;
  const { batch, length, dInner, dState, groups } = call.sizes;
  const back = direction === "backward";
  const steps = tileSteps(16 * lanes * vectors + 8 * channels);
  const eachCell = (line: (k: number) => string) => each(Math.ceil(steps / lanes), line);
  const eachVector = (line: (j: number) => string) => each(vectors, line);
  const n = (j: number) => `(s * ${4 * vectors}u + ${4 * j}u)`;
  const name = back ? "C" : "B";
  const rows = rowsAhead(work, [name], share, steps);
  const unrolled = Math.min(4, steps);
  const gated = back && call.has("z");
  const streams = back ? ["delta", "d_y", "z"].filter((given) => call.has(given)) : ["delta", "u"];
  const input = (k: number) =>
    back ? (call.has("d_y") ? `d_y${k}${gated ? ` * z${k} * sigmoid(z${k})` : ""}` : "0.0") : `step * u${k}`;
  // The next tile is read while the last one is gone through: into registers.
  const fetch = (begin: string) => `{
    let begin = ${begin};
${eachCell(
  (k) => `    {
      let at = (b * length + min(begin + s + ${k * lanes}u, end - 1u)) * dInner + d;
      ${streams.map((stream) => `${stream}${k} = ${stream}[at];`).join(" ")}
    }`,
)}
${rows.fetch}
  }`;
  const beginOf = (i: string) => `first + ${steps}u * ${back ? `(tiles - 1u - ${i})` : i}`;
  const names = back
    ? ["delta", "z", "d_y", "A", "C", "deltaBias", "resets"]
    : ["u", "delta", "A", "B", "deltaBias", "resets"];
  const put = (m: string) => work.at("starts", `(row * dState + ${m}) * dInner + d`);
  return {
    reads: rows.bind(work.bound(names.filter((name) => call.has(name)))),
    writes: ["work"],
    workgroups: batch * spans.count * groups * share.perBlocks,
    workgroupSize: size,
    bytes:
      4 *
      (batch * length * (dInner * (gated ? 3 : 2) + groups * dState) +
        batch * spans.count * dInner * (dState + 1) +
        dInner * dState),
    operations: batch * length * dInner * (4 * dState + (call.sizes.softplus ? 20 : 2) + (gated ? 6 : 0)),
    code: /* wgsl */ `${stepFunction(call)}${sigmoid1}
${rows.memory}
var<workgroup> cells: array<vec2f, ${steps * channels}>;
${cutsText(call, steps)}
fn run(group: u32, lane: u32) {${placeText(share, spans)}
  let bias = ${call.has("deltaBias") ? work.at("deltaBias", "d") : "0.0"};
${eachVector(
  (j) => `  let rate${j} = ${Math.LOG2E} * ${gather(padded, n(j), (m) => work.at("A", `${m} * dInner + d`))};
  var rest${j} = vec4f(0.0);`,
)}
  var drift = 0.0;
  var cut = false;
  // Nothing is entered from the last span, so what it is left with need not be known.
  let tiles = select((end - first + ${steps - 1}u) / ${steps}u, 0u, span == ${back ? "0u" : "spans - 1u"});
${eachCell((k) => `  ${streams.map((stream) => `var ${stream}${k}: f32;`).join(" ")}`)}
${rows.declare}
  if (tiles > 0u) ${fetch(beginOf("0u"))}
  for (var i = 0u; i < tiles; i++) {
    let begin = ${beginOf("i")};
    let count = min(${steps}u, end - begin);
    workgroupBarrier();
${eachCell(
  (k) => `    ${(k + 1) * lanes > steps ? `if (s + ${k * lanes}u < ${steps}u) ` : ""}{
      let step = stepOf(delta${k} + bias);
      let cell = ${within(`(s + ${k * lanes}u)`, steps, (k + 1) * lanes)} * ${channels}u + c;
      cells[cell] = select(vec2f(0.0), vec2f(step, ${input(k)}), s + ${k * lanes}u < count);
    }`,
)}
${rows.put}${loadCuts(call, work, share, steps)}
    workgroupBarrier();
    if (i + 1u < tiles) ${fetch(beginOf("(i + 1u)"))}
    for (var some = 0u; some < ${steps / unrolled}u; some++) {
${each(
  unrolled,
  (q) => `      {
        let t = ${back ? `${steps - 1 - q}u - some * ${unrolled}u` : `some * ${unrolled}u + ${q}u`};
        let cell = cells[t * ${channels}u + c];
        let reset = ${isCut(call, "t")};
        drift += cell.x;
        cut = cut || reset;
${eachVector((j) => {
  const row = `rows${name}[t * ${lanes * vectors}u + s * ${vectors}u + ${j}u]`;
  return back
    ? `        rest${j} = select(exp2(rate${j} * cell.x) * fma(${row}, vec4f(cell.y), rest${j}), vec4f(0.0), reset);`
    : `        rest${j} = fma(exp2(rate${j} * cell.x), select(rest${j}, vec4f(0.0), reset), ${row} * cell.y);`;
})}
      }`,
)}
    }
  }
  if (tiles > 0u && mine) {
${eachVector((j) => `    ${scatter(padded, n(j), put, `rest${j}`)}`)}
    if (s == 0u) { ${work.at("drifts", "row * dInner + d")} = drift; }
  }
  if (block == 0u && lane == 0u) { ${work.at("cuts", "row")} = select(0.0, 1.0, cut); }
}`,
  };
}

/** Spans that are read before what the first of them is entered with is written: to wait once, not for each. */
const together = 4;

/** Puts in the place of what spans are left with what they are entered with. An invocation has one state. */
export function carryPass(call: KernelCall, work: Work, spans: Spans, direction: Direction): Pass {
  const { batch, dInner, dState } = call.sizes;
  const back = direction === "backward";
  const initial = back ? "d_next_state" : "state";
  const given = call.has(initial);
  const own = batch * dInner * dState;
  return {
    reads: work.bound(given ? ["A", initial] : ["A"]),
    writes: ["work"],
    workgroups: Math.ceil(own / wide),
    workgroupSize: wide,
    bytes: 4 * (own * (2 * spans.count + (given ? 1 : 0)) + dInner * (dState + batch * spans.count)),
    operations: 4 * own * spans.count,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = group * ${wide}u + lane;
  if (i >= batch * dState * dInner) { return; }
  let spans = ${spanExtent(spans).wgsl};
  let d = i % dInner;
  let n = i / dInner % dState;
  let b = i / dInner / dState;
  let rate = ${Math.LOG2E} * ${work.at("A", "n * dInner + d")};
  var h = ${given ? work.at(initial, "i") : "0.0"};
  for (var k = 0u; k < spans; k += ${together}u) {
${each(
  together,
  (
    q,
  ) => `    let row${q} = b * spans + ${back ? `spans - 1u - min(k + ${q}u, spans - 1u)` : `min(k + ${q}u, spans - 1u)`};
    let at${q} = (row${q} * dState + n) * dInner + d;
    let rest${q} = ${work.at("starts", `at${q}`)};
    let drift${q} = ${work.at("drifts", `row${q} * dInner + d`)};
    let cut${q} = ${work.at("cuts", `row${q}`)} != 0.0;`,
)}
${each(
  together,
  (q) => `    if (k + ${q}u < spans) {
      ${work.at("starts", `at${q}`)} = h;
      h = rest${q} + select(exp2(rate * drift${q}) * h, 0.0, cut${q});
    }`,
)}
  }
}`,
  };
}
