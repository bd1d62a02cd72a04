import { carryOf, forwardCall, isVectorProduct, residualOf } from "./calls.ts";
import type { Rule } from "./fuse.ts";
import { projectOp, selectiveStepOp } from "./fusedOps.ts";

/** Most numbers that x_proj may make of a row: they are to fit into workgroup memory. */
const mostColumns = 2048;

/**
 * The second half of a Mamba block for one token: x_proj's parts are not copied apart, Δ and A never exist, the state
 * moves on in place, and the gate is applied where out_proj reads its input.
 */
export const mambaStep: Rule = (scan, graph, gpu) => {
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
  if (product.sizes.inner + 2 * dState > mostColumns) return null;
  const early = gpu.storageBuffers >= 9; // there is room for z where y is made, else it waits for the next product
  const step = forwardCall(
    selectiveStepOp,
    { batch, dInner, dState, dtRank: product.sizes.inner, parts: 1 },
    [u, parting.inputs[0], product.inputs[1], exponential.inputs[0], D, early ? z : null, deltaBias, state],
    [y],
  );
  const gated = forwardCall(
    projectOp,
    { rows: batch, inner: dInner, c0: out.sizes.columns, c1: 0, c2: 0 },
    [y, null, early ? null : z, out.inputs[1], null, null, sum?.residual ?? null, null, null, null],
    [sum ? sum.sum.outputs[0] : out.outputs[0], null, null],
  );
  return [
    { parts: [parting, product, exponential, negation, scan, carry], fused: step, at: scan },
    { parts: sum ? [out, sum.sum] : [out], fused: gated, at: sum ? sum.sum : out },
  ];
};
