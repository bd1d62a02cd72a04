/**
 * Forward: tiles of queries × keys with a running maximum (attentionTiles.ts), or, for few queries, chunks of keys
 * (attentionChunks.ts). Backward: the tiles again; one kernel has queries and makes dq, one has keys and makes dk and dv,
 * over all queries of all heads that read them, so each sum has one owner and one order. Traffic: q, y once, keys and
 * values length / 64 times, from the cache. Queries of long tiles come first, for they take longest.
 */
import { type KernelSet, type Pass } from "../kernel.ts";
import { attentionBackward } from "./attentionBackward.ts";
import { attentionChunks, mostQueries } from "./attentionChunks.ts";
import {
  addColumns,
  declareSums,
  fetch,
  four,
  logOfSum,
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
import { lowest, nan } from "./softmax.ts";

export const attention: KernelSet = {
  floats: ["scale"],
  dynamic: ["batch", "length", "keys"],
  forward: ({ sizes, has }) => {
    const some = { sizes, positioned: has("position"), logSum: has("logSum") };
    return sizes.length <= mostQueries ? attentionChunks(some) : { passes: [tiled(some)] };
  },
  backward: attentionBackward,
};

export interface Forward {
  readonly sizes: Readonly<Record<string, number>>;
  readonly positioned: boolean;
  readonly logSum: boolean;
}

function tiled({ sizes, positioned, logSum }: Forward): Pass {
  const { batch, length, keys, heads, headDim } = sizes;
  const scores = (key: string) => ({
    row: (i: string, at: string) => `load_q(b, head, first + ${i}, ${at})`,
    column: (i: string, at: string) => `load_k(b, kvHead, ${key} + ${i}, ${at})`,
  });
  const hide = (hidden: string) =>
    `if (!whole) { ${four((i) => `s[${i}] = select(s[${i}], ${hidden}, own >= vec4i(min(seen[${i}], i32(keys))));`)} }`;
  return {
    reads: [...["q", "k", "v"].map((name) => view(name, headDim)), ...(positioned ? ["position"] : [])],
    writes: [view("y", headDim), ...(logSum ? ["logSum"] : [])],
    workgroups: batch * heads * Math.ceil(length / rowsOfTile),
    workgroupSize: tileSize,
    operations: 4 * batch * heads * headDim * length * (keys - length / 2),
    code: /* wgsl */ `${nan}${logOfSum}${tileMemory}
var<workgroup> shared_: array<array<vec4f, 16>, 8>;
${rowLoader("q", "query", headDim)}${rowLoader("k", "key", headDim)}${rowLoader("v", "key", headDim)}
${rowStorer("y", "query", headDim, false)}
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
  var most = vec4f(${lowest});
  var sum = vec4f();
  ${declareSums("y", headDim)}
  ${fetch(scores("0u"))}
  for (var key = 0u; i32(key) < end; key += 32u) {
    let whole = i32(key) + 32 <= min(start + i32(first) + 1, i32(keys));
    ${products("s", headDim, scores("key"), scores("key + 32u"))}
    let own = vec4i(i32(key + 4u * tx)) + vec4i(0, 1, 2, 3);
    s *= scale;
    ${hide(`vec4f(${lowest})`)}
    var peaks = vec4f();
    ${four(
      (i) => `{
          let x = s[${i}];
          let two = select(x.xy, x.zw, x.zw > x.xy);
          peaks[${i}] = select(two.x, two.y, two.y > two.x);
        }`,
    )}
    shared_[tx][ty] = peaks;
    workgroupBarrier();
    var next = most;
    for (var t = 0u; t < 8u; t++) { let peak = shared_[t][ty]; next = select(next, peak, peak > next); }
    let shrink = exp(most - next);
    most = next;
    ${four((i) => `s[${i}] = shareOf(s[${i}] - most[${i}]);`)}
    ${hide("vec4f()")}
    sum = sum * shrink + vec4f(1.0) * s;
    ${putWeights("s")}
    ${sums(headDim, (chunk, i) => `y${chunk}${i} *= shrink[${i}];`)}
    let count = u32(min(32, end - i32(key)));
    ${addColumns(
      "y",
      { loaded: "v", kind: "key", start: "start_v(b, kvHead, key)" },
      headDim,
      (i, c) => `i32(key + ${c}) >= seen[${i}]`,
    )}
  }
  workgroupBarrier();
  shared_[tx][ty] = sum;
  workgroupBarrier();
  var total = vec4f();
  for (var t = 0u; t < 8u; t++) { total += shared_[t][ty]; }
  ${four((i) => `if (seen[${i}] > i32(keys)) { total[${i}] = nan(u32(seen[${i}])); }`)}
  ${sums(headDim, (chunk, i) => `store_y(b, head, row + ${i}u, ${32 * chunk}u + 4u * tx, y${chunk}${i} / total[${i}]);`)}
  ${
    logSum
      ? four(
          (i) =>
            `if (tx == ${i}u && row + ${i}u < length) { logSum[(b * length + row + ${i}u) * heads + head] = logOfSum(most[${i}], total[${i}]); }`,
        )
      : ""
  }
}`,
  };
}
