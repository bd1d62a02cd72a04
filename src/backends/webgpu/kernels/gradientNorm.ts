/**
 * The sum of squares is a reduction of one output: see reduction.ts. A tensor of up to 16384 numbers is one dispatch of
 * one workgroup, one of up to 67 million two. Traffic: u once.
 */
import { type KernelSet, onePass } from "../kernel.ts";
import { isNan } from "./library.ts";
import { reduction } from "./reduction.ts";

export const sumOfSquares: KernelSet = {
  dynamic: ["size"],
  forward(call) {
    const before = call.has("before");
    return reduction({
      type: "vec4f",
      words: 4,
      identity: "vec4f(0.0)",
      across: true,
      reads: ["u: vec4f"],
      term: /* wgsl */ `
fn term(output: u32, i: u32) -> vec4f {
  return select(vec4f(0.0), u[i] * u[i], vec4u(0u, 1u, 2u, 3u) < vec4u(size - 4u * i));
}`,
      outputs: { code: "1u", value: 1 },
      terms: { code: "((size + 3u) / 4u)", value: Math.ceil(call.sizes.size / 4) },
      along: "terms",
      writes: ["sum"],
      finish: `sum[0] = ${before ? "before[0] + " : ""}total;`,
      finishReads: before ? ["before"] : [],
    });
  },
};

export const clipFactor: KernelSet = {
  floats: ["maxNorm"],
  dynamic: ["maxNorm"], // it may be infinite, which no constant can be
  forward: () =>
    onePass({
      reads: ["sum"],
      writes: ["factor", "norm"],
      workgroups: 1,
      workgroupSize: 1,
      code: /* wgsl */ `${isNan}
fn run(group: u32, lane: u32) {
  let root = sqrt(sum[0]);
  norm[0] = root;
  let share = maxNorm / (root + 1e-6);
  factor[0] = select(select(1.0, share, share < 1.0), share, isNan(share));
}`,
    }),
};
