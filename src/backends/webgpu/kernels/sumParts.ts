/** An invocation adds up four numbers of all parts. Traffic: the parts. */
import { type KernelSet, onePass } from "../kernel.ts";
import { sumText, wide } from "./library.ts";

export const sumParts: KernelSet = {
  forward: ({ sizes: { parts, length } }) =>
    onePass({
      reads: ["u: vec4f"],
      writes: ["y: vec4f"],
      workgroups: Math.ceil(length / (4 * wide)),
      workgroupSize: wide,
      operations: parts * length,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i < ${length / 4}u) { y[i] = ${sumText(parts, (part) => `u[${(part * length) / 4}u + i]`)}; }
}`,
    }),
};
