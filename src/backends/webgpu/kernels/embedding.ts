/**
 * Forward: an invocation has one channel of one token; it writes beside its neighbours, but reads a column of the table,
 * from sectors of its own. Traffic: 2 floats an element, each read costs a sector.
 *
 * Backward: a workgroup owns 64 channels of some columns, their sums in workgroup memory, and goes through the ids of a
 * block of tokens; an invocation adds its own channel only, so no two meet and the order is that of the tokens. Few
 * columns: many blocks, which a second pass adds up. Many columns: one block, which reads all ids for each slice of
 * columns; dy is read once all the same. Traffic: dy, the table, and ids × columns / 56.
 */
import { type KernelSet, onePass, type Pass } from "../kernel.ts";
import { into, weightAt, weightBinding, wide } from "./library.ts";
import { nan } from "./softmax.ts";

/** Channels of a workgroup, one an invocation; ids that it fetches together. */
const size = 64;

/** Columns whose sums fit into workgroup memory. */
const mostColumns = 56;

/** Most numbers of all blocks' sums. */
const mostPartials = 2 ** 22;

export const embedding: KernelSet = {
  dynamic: ["tokens"],

  forward: ({ sizes: { tokens, dModel }, dtype }) =>
    onePass({
      reads: ["ids", weightBinding("table", dtype("table"), false)],
      writes: ["y"],
      workgroups: Math.ceil((tokens * dModel) / wide),
      workgroupSize: wide,
      bytes: 8 * tokens * dModel + 4 * tokens,
      code: /* wgsl */ `${nan}${weightAt("table", dtype("table"), false)}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  let token = i / dModel;
  if (token >= tokens) { return; }
  let id = u32(ids[token]);
  y[i] = select(nan(id), table_at(i % dModel * vocabulary + min(id, vocabulary - 1u)), id < vocabulary);
}`,
    }),

  backward(call, { parallelism }) {
    if (!call.has("d_table")) return { passes: [] };
    const { tokens, dModel, vocabulary } = call.sizes;
    const columns = Math.min(vocabulary, mostColumns);
    const slices = Math.ceil(vocabulary / columns);
    const across = Math.ceil(dModel / size);
    const numbers = dModel * vocabulary;
    const most = Math.min(Math.ceil(tokens / size), Math.floor(mostPartials / numbers));
    const wanted = Math.min(most, Math.ceil(parallelism / size / (slices * across)));
    const blocks = 2 ** Math.floor(Math.log2(Math.max(1, wanted))); // few values: it is written into the code
    const adds = call.adds("d_table");
    const passes: Pass[] = [
      {
        reads: ["ids", "d_y"],
        writes: [blocks > 1 ? "partials" : "d_table"],
        workgroups: blocks * slices * across,
        workgroupSize: size,
        operations: tokens * dModel,
        code: /* wgsl */ `
var<workgroup> fetched: array<u32, ${size}>;
var<workgroup> sums: array<array<f32, ${size + 1}>, ${columns}>; // one more: columns in different banks
fn run(group: u32, lane: u32) {
  let channel = group % ${across}u * ${size}u + lane;
  let first = group / ${across}u % ${slices}u * ${columns}u;
  let block = group / ${across * slices}u;
  let perBlock = (tokens + ${blocks * size - 1}u) / ${blocks * size}u * ${size}u;
  for (var v = 0u; v < ${columns}u; v++) { sums[v][lane] = 0.0; }
  for (var t = block * perBlock; t < min(tokens, (block + 1u) * perBlock); t += ${size}u) {
    workgroupBarrier();
    fetched[lane] = ${columns}u;
    if (t + lane < tokens) { fetched[lane] = u32(ids[t + lane]) - first; } // huge for those before
    workgroupBarrier();
    for (var k = 0u; k < ${size}u; k += 4u) {
      ${four((i) => `let v${i} = fetched[k + ${i}u]; var x${i} = 0.0;`)}
      ${four((i) => `if (v${i} < ${columns}u && channel < dModel) { x${i} = d_y[(t + k + ${i}u) * dModel + channel]; }`)}
      ${four((i) => `if (v${i} < ${columns}u) { sums[v${i}][lane] += x${i}; }`)}
    }
  }
  workgroupBarrier();
  for (var i = lane; i < ${columns * size}u; i += ${size}u) {
    let column = first + i % ${columns}u;
    let row = group % ${across}u * ${size}u + i / ${columns}u;
    if (column < vocabulary && row < dModel) {
      ${blocks > 1 ? "partials[(block * dModel + row) * vocabulary + column] =" : `d_table[row * vocabulary + column] ${into(adds)}`} sums[i % ${columns}u][i / ${columns}u];
    }
  }
}`,
      },
    ];
    if (blocks === 1) return { passes };
    passes.push({
      reads: ["partials"],
      writes: ["d_table"],
      workgroups: Math.ceil(numbers / wide),
      workgroupSize: wide,
      operations: blocks * numbers,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= ${numbers}u) { return; }
  var sum = 0.0;
  for (var block = 0u; block < ${blocks}u; block++) { sum += partials[block * ${numbers}u + i]; }
  d_table[i] ${into(adds)} sum;
}`,
    });
    return { passes, scratch: { partials: blocks * numbers } };
  },
};

function four(text: (i: number) => string): string {
  return [0, 1, 2, 3].map(text).join("\n      ");
}
