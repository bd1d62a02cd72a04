/**
 * An invocation updates one vector of four. Traffic: 7 floats a parameter, its 4 read and 3 written; 20 operations.
 */
import { type KernelSet, onePass } from "../kernel.ts";
import { wide } from "./library.ts";

export const adamw: KernelSet = {
  floats: ["beta1", "beta2", "rest1", "rest2", "epsilon", "weightDecay"],
  forward(call) {
    const { size } = call.sizes;
    const clip = call.has("clip");
    return onePass({
      reads: ["gradient: vec4f", "schedule", ...(clip ? ["clip"] : [])],
      writes: ["parameter: vec4f", "m: vec4f", "v: vec4f"],
      workgroups: Math.ceil(size / (4 * wide)),
      workgroupSize: wide,
      bytes: 28 * size,
      operations: 20 * size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&parameter)) { return; }
  let g = gradient[i]${clip ? " * clip[0]" : ""};
  let p = parameter[i];
  let first = beta1 * m[i] + rest1 * g;
  let second = beta2 * v[i] + rest2 * g * g;
  m[i] = first;
  v[i] = second;
  parameter[i] = p - schedule[0] * (weightDecay * p + first * schedule[1] / (sqrt(second) * schedule[2] + epsilon));
}`,
    });
  },
};
