import type { Call } from "../../../tensor/backend.ts";
import { chainNames } from "../kernels/activation.ts";
import { forwardCall } from "./calls.ts";
import type { Rule } from "./fuse.ts";
import { chainOp } from "./fusedOps.ts";

/** Functions of one number whose results nobody else reads, from the last back to the first: A = −exp(logA). */
export const elementwiseChain: Rule = (last, graph) => {
  if (!isLink(last)) return null;
  const [next] = graph.readers(last.outputs[0]!); // such a function has an output
  if (next && isLink(next) && graph.sole(last.outputs[0], next, last.op.name)) return null; // it ends later
  const parts = [last];
  for (;;) {
    const [first] = parts;
    const before = graph.producer(first.inputs[0]);
    if (!before || !isLink(before) || !graph.sole(first.inputs[0], first, before.op.name)) break;
    parts.unshift(before);
  }
  if (parts.length === 1) return null;
  const links = Object.fromEntries(parts.map(({ op }, i) => [`c${i}`, chainNames.indexOf(op.name)]));
  const sizes = { size: last.sizes.size, links: parts.length, ...links };
  return [{ parts, fused: forwardCall(chainOp, sizes, parts[0].inputs, last.outputs), at: last }];
};

function isLink({ op, pass }: Call): boolean {
  return pass === "forward" && chainNames.includes(op.name);
}
