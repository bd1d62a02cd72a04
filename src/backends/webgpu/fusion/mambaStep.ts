import type { Buffer, Call, MaybeBuffer } from "../../../tensor/backend.ts";
import type { Op } from "../../../tensor/op.ts";
import type { Rule } from "./fuse.ts";
import { projectOp, selectiveStepOp } from "./fusedOps.ts";
import type { Graph } from "./graph.ts";

/** Most rows of a product that is read like a vector: its weights are what is moved. */
export const mostRows = 8;

/** A forward call made of others. */
export function forwardCall(
  op: Op<never>,
  sizes: Call["sizes"],
  inputs: readonly MaybeBuffer[],
  outputs: readonly MaybeBuffer[],
): Call {
  return {
    op: op as Op,
    pass: "forward",
    sizes,
    inputs,
    outputs,
    outputGrads: [],
    inputGrads: [],
    accumulate: [],
  };
}

/** The product of all of a by one b as it lies, of few rows. */
export function isVectorProduct({ op, pass, sizes }: Call): boolean {
  return (
    op.name === "matmul" &&
    pass === "forward" &&
    sizes.batch === 1 &&
    sizes.rows <= mostRows &&
    sizes.transposeA === 0 &&
    sizes.transposeB === 0
  );
}

/** What carries a state into the next run of the program, where that is all that becomes of it. */
export function carryOf(next: MaybeBuffer, state: MaybeBuffer, graph: Graph): Call | null {
  if (!next || !state || !graph.producer(next)) return null;
  const readers = graph.readers(next);
  const [call] = readers;
  return readers.length === 1 && call.op.name === "assign" && call.inputs[0] === state ? call : null;
}

/** The sum with a tensor of the same shape that is all that becomes of a product: the call, and the other term. */
export function residualOf(product: Call, graph: Graph): { sum: Call; residual: Buffer } | null {
  const [y] = product.outputs;
  const readers = graph.readers(y!); // a product has an output
  const [sum] = readers;
  if (readers.length !== 1 || sum.op.name !== "add" || sum.pass !== "forward") return null;
  if (graph.producer(y) !== product) return null;
  const { n3, a3, b3 } = sum.sizes;
  const [a, b] = sum.inputs;
  if (n3 !== y!.length || a3 !== 1 || b3 !== 1 || a === b) return null;
  return { sum, residual: (a === y ? b : a)! }; // add has two inputs
}

/**
 * The second half of a Mamba block for one token: x_proj's parts are not copied apart, Δ and A never exist, the state
 * moves on in place, and the gate is applied where out_proj reads its input.
 */
export const mambaStep: Rule = (scan, graph) => {
  const { op, pass, sizes, inputs, outputs } = scan;
  if (op.name !== "selectiveScan" || pass !== "forward" || sizes.length !== 1 || sizes.groups !== 1)
    return null;
  const [u, delta, A, B, C, D, z, deltaBias, state, resets] = inputs;
  const [y, next, chunks] = outputs;
  if (resets || chunks || !state || sizes.softplus !== 1) return null;
  const carry = carryOf(next, state, graph);
  const product = graph.sole(delta, scan, "matmul");
  const negation = graph.sole(A, scan, "neg");
  const exponential = negation && graph.sole(negation.inputs[0], negation, "exp");
  if (!carry || !product || !isVectorProduct(product) || !exponential) return null;
  const parting = graph.sole(product.inputs[0], product, "split3");
  if (!parting || parting.outputs[1] !== B || parting.outputs[2] !== C) return null;
  if (!graph.sole(B, scan, "split3") || !graph.sole(C, scan, "split3")) return null;

  const [out] = graph.readers(y!); // a scan has an output
  if (!out || !graph.sole(y, out, "selectiveScan") || !isVectorProduct(out) || out.inputs[0] !== y)
    return null;
  const sum = residualOf(out, graph);
  const { batch, dInner, dState } = sizes;
  const step = forwardCall(
    selectiveStepOp,
    { batch, dInner, dState, dtRank: product.sizes.inner },
    [u, parting.inputs[0], product.inputs[1], exponential.inputs[0], D, deltaBias, state],
    [y],
  );
  const gated = forwardCall(
    projectOp,
    { rows: batch, inner: dInner, c0: out.sizes.columns, c1: 0, c2: 0 },
    [y, null, z, out.inputs[1], null, null, sum?.residual ?? null, null, null, null],
    [sum ? sum.sum.outputs[0] : out.outputs[0], null, null],
  );
  return [
    { parts: [parting, product, exponential, negation, scan, carry], fused: step, at: scan },
    { parts: sum ? [out, sum.sum] : [out], fused: gated, at: sum ? sum.sum : out },
  ];
};
