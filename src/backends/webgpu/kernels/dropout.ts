/**
 * An invocation has one vector of four, and draws their four numbers from their places: integers, so that the mask is that
 * of every other device. Traffic: 2 floats an element, 3 where the gradient is added; it draws with 10 integer operations.
 */
import type { Kernel, KernelSet } from "../kernel.ts";
import { into, wide } from "./library.ts";

const keeps = /* wgsl */ `
fn mix1(word: u32) -> u32 {
  var x = word;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}
fn mix4(word: vec4u) -> vec4u {
  var x = word;
  x = (x ^ (x >> vec4u(16u))) * 0x7feb352du;
  x = (x ^ (x >> vec4u(15u))) * 0x846ca68bu;
  return x ^ (x >> vec4u(16u));
}
fn keeps(i: u32) -> vec4<bool> {
  let key0 = mix1(bitcast<u32>(seed[0]) ^ 0x9e3779b9u);
  let key1 = mix1(key0 + bitcast<u32>(seed[1]));
  let places = 4u * i + vec4u(0u, 1u, 2u, 3u);
  return (mix4(mix4(places ^ vec4u(key0)) + key1) >> vec4u(8u)) >= vec4u(threshold);
}`;

/** The kept ones of `from` are scaled, the others are 0, also where they are NaN. */
function masked(from: string, to: string): Kernel {
  return (call) => ({
    passes: [from, to].every((name) => call.has(name))
      ? [
          {
            reads: [`${from}: vec4f`, "seed"],
            writes: [`${to}: vec4f`],
            workgroups: Math.ceil(call.length(from) / (4 * wide)),
            workgroupSize: wide,
            code: /* wgsl */ `${keeps}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&${to})) { return; }
  ${to}[i] ${into(to === "d_u" && call.adds("d_u"))} select(vec4f(0.0), ${from}[i] * scale, keeps(i));
}`,
          },
        ]
      : [],
  });
}

export const dropout: KernelSet = {
  floats: ["scale"],
  forward: masked("u", "y"),
  backward: masked("d_y", "d_u"),
};
