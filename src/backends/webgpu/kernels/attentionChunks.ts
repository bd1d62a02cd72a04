/**
 * Attention of few queries, as in decoding: a workgroup has a chunk of 128 keys for one query of one head. Teams of 8
 * multiply the query with a key each; then invocations have 4 channels of every so-manieth value. What the chunks found
 * (maximum, sum, weighted values) is put together by a second pass. Chunks beyond the query's position only say so.
 * Traffic: the keys and values seen, once for each query and head.
 */
import type { Schedule } from "../kernel.ts";
import type { Forward } from "./attention.ts";
import { logOfSum, rowLoader, rowStorer, shareOf, startOf, view } from "./attentionTiles.ts";
import { lowest, nan } from "./softmax.ts";

/** Most queries of a sequence that are done this way. */
export const mostQueries = 8;

const chunk = 128;
const size = 256;

export function attentionChunks({ sizes, positioned, logSum }: Forward): Schedule {
  const { batch, length, keys, heads, headDim } = sizes;
  const queries = batch * length * heads;
  const chunks = Math.ceil(keys / chunk);
  const vectors = Math.ceil(headDim / 4);
  const width = Math.min(size, 2 ** Math.ceil(Math.log2(vectors))); // invocations of a value
  const slices = size / width;
  const ofGroup = /* wgsl */ `
  let head = query % heads;
  let i = query / heads % length;
  let b = query / heads / length;`;
  return {
    scratch: { means: 4 * queries * chunks * vectors, totals: 2 * queries * chunks },
    passes: [
      {
        reads: [...["q", "k", "v"].map((name) => view(name, headDim)), ...(positioned ? ["position"] : [])],
        writes: ["means: vec4f", "totals: vec2f"],
        workgroups: queries * chunks,
        workgroupSize: size,
        operations: 4 * queries * keys * headDim,
        code: /* wgsl */ `${shareOf}
var<workgroup> parts: array<array<f32, 9>, ${chunk}>; // 9, not 8: neighbours in different banks
var<workgroup> shares: array<f32, ${chunk}>;
var<workgroup> tree: array<f32, ${chunk}>;
var<workgroup> sums: array<vec4f, ${size}>;
${rowLoader("q", "query", headDim)}${rowLoader("k", "key", headDim)}${rowLoader("v", "key", headDim)}
fn run(group: u32, lane: u32) {
  let chunks = (keys + ${chunk - 1}u) / ${chunk}u;
  let query = group / chunks;
  let first = group % chunks * ${chunk}u;
  ${ofGroup}
  let kvHead = head * kvHeads / heads;
  ${startOf(positioned)}
  let end = min(i32(keys), start + i32(i) + 1);
  if (i32(first) >= end) {
    if (lane == 0u) { totals[group] = vec2f(${lowest}, 0.0); }
    return;
  }
  let count = min(${chunk}u, u32(end) - first);
  let own = lane % ${size}u; // remainders and quotients, by which Dawn sees that indices need no check
  let ofKey = own % ${chunk}u;
  let member = own % 8u;
  var products = vec4f();
  for (var at = 4u * member; at < headDim; at += 32u) {
    let u = load_q(b, head, i, at);
    for (var j = 0u; j < 4u; j++) {
      let key = lane / 8u + 32u * j;
      if (key < count) { products[j] += dot(u, load_k(b, kvHead, first + key, at)); }
    }
  }
  for (var j = 0u; j < 4u; j++) { parts[own / 8u + 32u * j][member] = products[j]; }
  workgroupBarrier();
  var score = ${lowest};
  if (lane < count) {
    score = 0.0;
    for (var t = 0u; t < 8u; t++) { score += parts[ofKey][t]; }
    score *= scale;
  }
  if (lane < ${chunk}u) { tree[ofKey] = score; }
  ${halves(chunk, (half) => `let x = tree[own % ${half}u + ${half}u]; if (x > tree[own % ${half}u]) { tree[own % ${half}u] = x; }`)}
  workgroupBarrier();
  let most = tree[0];
  workgroupBarrier();
  let share = select(0.0, shareOf(vec4f(score - most)).x, lane < count);
  if (lane < ${chunk}u) { shares[ofKey] = share; tree[ofKey] = share; }
  ${halves(chunk, (half) => `tree[own % ${half}u] += tree[own % ${half}u + ${half}u];`)}
  workgroupBarrier();
  if (lane == 0u) { totals[group] = vec2f(most, tree[0]); }
  for (var round = 0u; round < ${Math.ceil(vectors / width)}u; round++) {
    let v = round * ${width}u + lane % ${width}u;
    var sum = vec4f();
    for (var turn = 0u; turn < ${Math.ceil(chunk / slices)}u; turn++) {
      let key = turn * ${slices}u + own / ${width}u;
      if (key >= count) { break; }
      sum = fma(vec4f(shares[key % ${chunk}u]), load_v(b, kvHead, first + key, 4u * v), sum);
    }
    sums[own] = sum;
    ${halves(size, (half) => `sums[own % ${half}u] += sums[own % ${half}u + ${half}u];`, width)}
    if (lane < ${width}u && v < ${vectors}u) { means[group * ${vectors}u + v] = sums[own]; }
    workgroupBarrier();
  }
}`,
      },
      {
        reads: ["means: vec4f", "totals: vec2f", ...(positioned ? ["position"] : [])],
        writes: [view("y", headDim), ...(logSum ? ["logSum"] : [])],
        workgroups: queries,
        workgroupSize: 64,
        operations: 2 * queries * chunks * headDim,
        code: /* wgsl */ `${nan}${logOfSum}${rowStorer("y", "query", headDim, false)}
fn run(query: u32, lane: u32) {
  let chunks = (keys + ${chunk - 1}u) / ${chunk}u;
  ${ofGroup}
  ${startOf(positioned)}
  let seen = start + i32(i) + 1;
  let filled = (u32(max(0, min(i32(keys), seen))) + ${chunk - 1}u) / ${chunk}u;
  var most = ${lowest};
  for (var c = 0u; c < filled; c++) { let m = totals[query * chunks + c].x; most = select(most, m, m > most); }
  var total = 0.0;
  for (var c = 0u; c < filled; c++) { let t = totals[query * chunks + c]; total += t.y * exp(t.x - most); }
  if (seen > i32(keys)) { total = nan(u32(seen)); }
  for (var v = lane; v < ${vectors}u; v += 64u) {
    var sum = vec4f();
    for (var c = 0u; c < filled; c++) {
      let at = query * chunks + c;
      sum = fma(vec4f(exp(totals[at].x - most)), means[at * ${vectors}u + v], sum);
    }
    store_y(b, head, i, 4u * v, sum / total);
  }
  ${logSum ? "if (lane == 0u) { logSum[query] = logOfSum(most, total); }" : ""}
}`,
      },
    ],
  };
}

/** A tree over `count` numbers, down to `least`: what the lanes below each half do to their number and that one half further. */
function halves(count: number, text: (half: number) => string, least = 1): string {
  const steps: string[] = [];
  for (let half = count / 2; half >= least; half /= 2) {
    steps.push(`workgroupBarrier();\n  if (lane < ${half}u) { ${text(half)} }`);
  }
  return steps.join("\n  ");
}
