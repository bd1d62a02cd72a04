/**
 * An invocation has a pair of channels of one token: of one head, or, where the GPU is busy anyway, of all heads, so that
 * the turn is multiplied together once. Neighbours have neighbouring pairs. Traffic: 2 floats an element.
 */
import { type KernelSet, onePass, type Schedule } from "../kernel.ts";
import { into, wide } from "./library.ts";

interface Turning {
  readonly sizes: Readonly<Record<string, number>>;
  readonly has: (name: string) => boolean;
  readonly parallelism: number;
  /** Binding names, what is done with the result, and the sign of the turn. */
  readonly source: string;
  readonly result: string;
  readonly put: string;
  readonly back: boolean;
}

function turning({ sizes, has, parallelism, source, result, put, back }: Turning): Schedule {
  const { batch, length, heads, headDim } = sizes;
  const pairs = headDim / 2;
  const each = batch * length * pairs >= parallelism ? heads : 1; // heads of an invocation
  const items = (batch * length * heads * pairs) / each;
  return onePass({
    reads: [`${source}: vec2f`, ...(has("position") ? ["position"] : []), "turns: vec2f"],
    writes: [`${result}: vec2f`],
    workgroups: Math.ceil(items / wide),
    workgroupSize: wide,
    operations: 3 * batch * length * heads * headDim,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  let pair = i % ${pairs}u;
  let token = i / ${(pairs * heads) / each}u;
  if (token >= batch * length) { return; }
  var turn = vec2f(1.0, 0.0);
  var p = ${has("position") ? "u32(position[0])" : "0u"} + token % length;
  for (var k = 0u; k < 24u; k++) {
    if (((p >> k) & 1u) == 0u) { continue; }
    let t = turns[k * ${pairs}u + pair];
    turn = vec2f(turn.x * t.x - turn.y * t.y, turn.x * t.y + turn.y * t.x);
  }
  ${back ? "turn.y = -turn.y;" : ""}
  for (var h = 0u; h < ${each}u; h++) {
    let at = ${each === 1 ? "i" : `(token * ${heads}u + h) * ${pairs}u + pair`};
    let u = ${source}[at];
    ${result}[at] ${put} vec2f(turn.x * u.x - turn.y * u.y, turn.x * u.y + turn.y * u.x);
  }
}`,
  });
}

export const rope: KernelSet = {
  dynamic: ["batch", "length"],

  forward: ({ sizes, has }, { parallelism }) =>
    turning({ sizes, has, parallelism, source: "u", result: "y", put: "=", back: false }),

  // No gradient of the turns: they are constants.
  backward: ({ sizes, has, adds }, { parallelism }) =>
    has("d_u")
      ? turning({ sizes, has, parallelism, source: "d_y", result: "d_u", put: into(adds("d_u")), back: true })
      : { passes: [] },
};
