/** The gradients of attention, by tiles: see attention.ts. */
import type { Kernel, Pass } from "../kernel.ts";
import {
  addColumns,
  declareSums,
  fetch,
  four,
  placeInTile,
  products,
  putWeights,
  rowLoader,
  rowsOfTile,
  rowStorer,
  startOf,
  sums,
  tileMemory,
  tileSize,
  view,
} from "./attentionTiles.ts";

/** Most channels for which one invocation holds the sums of dk and of dv. */
const mostTogether = 64;

export const attentionBackward: Kernel = (call) => {
  const { batch, length, heads, headDim } = call.sizes;
  const rows = batch * length * heads;
  const positioned = call.has("position");
  const passes: Pass[] = [statistics(rows, headDim)];
  if (call.has("d_q")) passes.push(ofQueries(call.sizes, positioned, call.adds("d_q")));
  const both = { d_k: call.has("d_k"), d_v: call.has("d_v") };
  const adds = { d_k: call.adds("d_k"), d_v: call.adds("d_v") };
  const wanted =
    both.d_k && both.d_v && headDim > mostTogether
      ? [
          { d_k: true, d_v: false },
          { d_k: false, d_v: true },
        ]
      : [both];
  for (const wants of wanted) {
    if (wants.d_k || wants.d_v) passes.push(ofKeys(call.sizes, positioned, wants, adds));
  }
  return passes.length > 1 ? { passes, scratch: { statistics: 2 * rows } } : { passes: [] };
};

/** Of each query: logSum, and y·dy. */
function statistics(rows: number, headDim: number): Pass {
  const vector = headDim % 4 === 0;
  return {
    reads: [view("y", headDim), view("d_y", headDim), "logSum"],
    writes: ["statistics: vec2f"],
    workgroups: Math.ceil(rows / 64),
    workgroupSize: 64,
    operations: 2 * rows * headDim,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let row = 64u * group + lane;
  if (row >= batch * length * heads) { return; }
  var sum = 0.0;
  for (var at = row * ${vector ? headDim / 4 : headDim}u; at < (row + 1u) * ${vector ? headDim / 4 : headDim}u; at++) {
    sum += ${vector ? "dot(y[at], d_y[at])" : "y[at] * d_y[at]"};
  }
  statistics[row] = vec2f(logSum[row], sum);
}`,
  };
}

function inputs(headDim: number, positioned: boolean): string[] {
  const rows = ["q", "k", "v", "d_y"].map((name) => view(name, headDim));
  return [...rows, "statistics: vec2f", ...(positioned ? ["position"] : [])];
}

function loaders(headDim: number): string {
  const queries = ["q", "d_y"].map((name) => rowLoader(name, "query", headDim));
  return [...queries, ...["k", "v"].map((name) => rowLoader(name, "key", headDim))].join("");
}

function ofQueries(sizes: Readonly<Record<string, number>>, positioned: boolean, adds: boolean): Pass {
  const { batch, length, keys, heads, headDim } = sizes;
  const source = (row: string, column: string, key: string) => ({
    row: (i: string, at: string) => `load_${row}(b, head, first + ${i}, ${at})`,
    column: (i: string, at: string) => `load_${column}(b, kvHead, ${key} + ${i}, ${at})`,
  });
  return {
    reads: inputs(headDim, positioned),
    writes: [view("d_q", headDim)],
    workgroups: batch * heads * Math.ceil(length / rowsOfTile),
    workgroupSize: tileSize,
    operations: 6 * batch * heads * headDim * length * (keys - length / 2),
    code: /* wgsl */ `${tileMemory}${loaders(headDim)}${rowStorer("d_q", "query", headDim, adds)}
fn run(group: u32, lane: u32) {
  let blocks = (length + ${rowsOfTile - 1}u) / ${rowsOfTile}u;
  let first = (blocks - 1u - group % blocks) * ${rowsOfTile}u;
  let head = group / blocks % heads;
  let b = group / (blocks * heads);
  let kvHead = head * kvHeads / heads;
  ${startOf(positioned)}
  ${placeInTile}
  let row = first + 4u * ty;
  let seen = vec4i(start + i32(row)) + vec4i(1, 2, 3, 4);
  let end = min(i32(keys), start + i32(min(first + ${rowsOfTile}u, length)));
  ${four((i) => `let l${i} = statistics[(b * length + min(row + ${i}u, length - 1u)) * heads + head];`)}
  ${declareSums("g", headDim)}
  ${fetch(source("q", "k", "0u"))}
  for (var key = 0u; i32(key) < end; key += 32u) {
    let whole = i32(key) + 32 <= min(start + i32(first) + 1, i32(keys));
    ${products("s", headDim, source("q", "k", "key"), source("d_y", "v", "key"))}
    ${products("t", headDim, source("d_y", "v", "key"), source("q", "k", "key + 32u"))}
    let own = vec4i(i32(key + 4u * tx)) + vec4i(0, 1, 2, 3);
    ${four(
      (i) =>
        `s[${i}] = select(shareOf(s[${i}] * scale - l${i}.x) * (t[${i}] - l${i}.y), vec4f(), own >= vec4i(min(seen[${i}], i32(keys))));`,
    )}
    ${putWeights("s")}
    let count = u32(min(32, end - i32(key)));
    ${addColumns(
      "g",
      { loaded: "k", kind: "key", start: "start_k(b, kvHead, key)" },
      headDim,
      (i, c) => `i32(key + ${c}) >= seen[${i}]`,
    )}
  }
  ${sums(headDim, (chunk, i) => `store_d_q(b, head, row + ${i}u, ${32 * chunk}u + 4u * tx, scale * g${chunk}${i});`)}
}`,
  };
}

interface Wants {
  readonly d_k: boolean;
  readonly d_v: boolean;
}

function ofKeys(
  sizes: Readonly<Record<string, number>>,
  positioned: boolean,
  wants: Wants,
  adds: Wants,
): Pass {
  const { batch, length, keys, heads, kvHeads, headDim } = sizes;
  const names = (["d_k", "d_v"] as const).filter((name) => wants[name]);
  const source = (row: string, column: string, query: string) => ({
    row: (i: string, at: string) => `load_${row}(b, kvHead, first + ${i}, ${at})`,
    column: (i: string, at: string) => `load_${column}(b, head, ${query} + ${i}, ${at})`,
  });
  const columns = (loaded: string) => ({
    loaded,
    kind: "query" as const,
    start: `start_${loaded}(b, head, query)`,
  });
  const hidden = (i: number, c: string) => `i32(query + ${c}) < needed[${i}]`;
  const masked = (i: number, value: string) =>
    `select(${value}, vec4f(), (own < vec4i(needed[${i}])) | (own >= vec4i(i32(length))))`;
  return {
    reads: inputs(headDim, positioned),
    writes: names.map((name) => view(name, headDim)),
    workgroups: batch * kvHeads * Math.ceil(keys / rowsOfTile),
    workgroupSize: tileSize,
    operations: (2 + 4 * names.length) * batch * heads * headDim * length * (keys - length / 2),
    code: /* wgsl */ `${tileMemory}${loaders(headDim)}
${names.map((name) => rowStorer(name, "key", headDim, adds[name])).join("")}
fn run(group: u32, lane: u32) {
  let blocks = (keys + ${rowsOfTile - 1}u) / ${rowsOfTile}u;
  let first = group % blocks * ${rowsOfTile}u;
  let kvHead = group / blocks % kvHeads;
  let b = group / (blocks * kvHeads);
  ${startOf(positioned)}
  ${placeInTile}
  let row = first + 4u * ty;
  let needed = vec4i(i32(row) - start) + vec4i(0, 1, 2, 3); // the first query that sees the key
  ${names.map((name) => declareSums(name, headDim)).join("\n")}
  for (var head = kvHead * ${heads / kvHeads}u; head < (kvHead + 1u) * ${heads / kvHeads}u; head++) {
    let firstQuery = u32(max(0, i32(first) - start)) / 32u * 32u;
    ${fetch(source("k", "q", "firstQuery"))}
    for (var query = firstQuery; query < length; query += 32u) {
      let whole = i32(query) >= i32(first) + ${rowsOfTile - 1} - start && query + 32u <= length;
      let count = min(32u, length - query);
      ${products("s", headDim, source("k", "q", "query"), wants.d_k ? source("v", "d_y", "query") : source("k", "q", "query + 32u"))}
      ${wants.d_k ? products("t", headDim, source("v", "d_y", "query"), source("k", "q", "query + 32u")) : ""}
      let own = vec4i(i32(query + 4u * tx)) + vec4i(0, 1, 2, 3);
      ${four((c) => `let l${c} = statistics[(b * length + min(query + 4u * tx + ${c}u, length - 1u)) * heads + head];`)}
      let l = vec4f(l0.x, l1.x, l2.x, l3.x);
      ${four((i) => `s[${i}] = ${masked(i, `shareOf(s[${i}] * scale - l)`)};`)}
      ${wants.d_v ? putWeights("s") + addColumns("d_v", columns("d_y"), headDim, hidden) : ""}
      ${
        wants.d_k
          ? `let shift = vec4f(l0.y, l1.y, l2.y, l3.y);
      ${four((i) => `t[${i}] = ${masked(i, `s[${i}] * (t[${i}] - shift)`)};`)}
      ${putWeights("t")}${addColumns("d_k", columns("q"), headDim, hidden)}`
          : ""
      }
    }
  }
  ${names
    .map((name) =>
      sums(
        headDim,
        (chunk, i) =>
          `store_${name}(b, kvHead, row + ${i}u, ${32 * chunk}u + 4u * tx, ${name === "d_k" ? "scale * " : ""}${name}${chunk}${i});`,
      ),
    )
    .join("\n")}
}`,
  };
}
