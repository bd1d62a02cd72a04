import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { chainNames, expressions } from "./activation.ts";
import { wide } from "./library.ts";

/** An invocation computes one vector of four. Traffic: 2 floats an element, however long the chain. */
const forward: Kernel = (call) => {
  const links = Array.from(
    { length: call.sizes.links },
    (_, i) => expressions[chainNames[call.sizes[`c${i}`]]],
  );
  const functions = new Set(links.flatMap((link) => (link.functions ?? "").split(/\n(?=fn )/)));
  return onePass({
    reads: ["u: vec4f"],
    writes: ["y: vec4f"],
    workgroups: Math.ceil(call.length("u") / (4 * wide)),
    workgroupSize: wide,
    code: /* wgsl */ `${[...functions].join("\n")}
${links.map(({ value }, i) => `fn link${i}(u: vec4f) -> vec4f { return ${value}; }`).join("\n")}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&y)) { return; }
  y[i] = ${links.reduce((text, _, i) => `link${i}(${text})`, "u[i]")};
}`,
  });
};

export const chain: KernelSet = { forward };
