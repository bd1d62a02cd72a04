import type { Buffer, Call } from "../../../tensor/backend.ts";
import type { Gpu } from "../kernel.ts";
import { slabChannels } from "../kernels/selectiveProject.ts";
import { carryOf, forwardCall, isVectorProduct, readsRows, residualOf } from "./calls.ts";
import type { Rule } from "./fuse.ts";
import { projectOp, selectiveProjectOp, selectiveStepOp, sumPartsOp } from "./fusedOps.ts";
import type { Fusion, Graph } from "./graph.ts";

/** Most numbers that x_proj may make of a row, and out_proj: they are to fit into workgroup memory. */
const mostColumns = 2048;

/** Most numbers of x_proj beside which what the scan and out_proj hold there fits. */
const mostBeside = 768;

/** Bytes of the parts of a product that may be read by all workgroups of the next: from the caches, beside its weights. */
const mostPartBytes = 2 ** 24;

/** The calls of the second half of a Mamba block, for one token. */
interface Half {
  readonly scan: Call;
  /** The parts of the scan: all but what carries its state on. */
  readonly parts: readonly Call[];
  readonly carry: Call;
  /** x_proj's result, and dtProj and logA. */
  readonly inputs: readonly Buffer[];
  readonly dtRank: number;
  readonly out: Call;
  readonly sum: { readonly sum: Call; readonly residual: Buffer } | null;
}

/**
 * The second half of a Mamba block for one token: x_proj's parts are not copied apart, Δ and A never exist. Either all of it
 * is one call, or the scan is, its state moving on in place, and out_proj; the gate is where there is room for z.
 */
export const mambaStep: Rule = (call, graph, gpu) => {
  const half = halfOf(call, graph);
  return half && (inParts(half, graph, gpu) ?? inPlace(half, gpu));
};

function halfOf(scan: Call, graph: Graph): Half | null {
  const { op, pass, sizes, inputs, outputs } = scan;
  if (op.name !== "selectiveScan" || pass !== "forward" || sizes.length !== 1 || sizes.groups !== 1)
    return null;
  const [, delta, A, B, C, , , , state, resets] = inputs;
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
  const dtRank = product.sizes.inner;
  const [rank, states] = [parting.sizes.w0, parting.sizes.w1];
  if (parting.sizes.rows !== sizes.batch || rank !== dtRank || states !== sizes.dState) return null;
  if (product.sizes.columns !== sizes.dInner) return null;
  if (dtRank + 2 * sizes.dState > mostColumns) return null;

  const [out] = graph.readers(y!); // a scan has an output
  if (!out || !graph.sole(y, out, "selectiveScan") || !isVectorProduct(out)) return null;
  if (!readsRows(out, y, sizes.dInner)) return null;
  const read = [parting.inputs[0], product.inputs[1], exponential.inputs[0]] as Buffer[]; // none is optional
  const parts = [parting, product, exponential, negation, scan];
  return { scan, parts, carry, inputs: read, dtRank, out, sum: residualOf(out, graph) };
}

/** The step of the scan, and out_proj with the residual. */
function inPlace({ scan, parts, carry, inputs, dtRank, out, sum }: Half, gpu: Gpu): readonly Fusion[] {
  const [u, , , , , D, z, deltaBias, state] = scan.inputs;
  const [y] = scan.outputs;
  const { batch, dInner, dState } = scan.sizes;
  const early = gpu.storageBuffers >= 9; // there is room for z where y is made
  const step = forwardCall(
    selectiveStepOp,
    { batch, dInner, dState, dtRank, parts: 1 },
    [u, ...inputs, D, early ? z : null, deltaBias, state],
    [y],
  );
  const gated = forwardCall(
    projectOp,
    { rows: batch, inner: dInner, c0: out.sizes.columns, c1: 0, c2: 0 },
    [y, null, early ? null : z, out.inputs[1], null, null, sum?.residual ?? null, null, null, null],
    [sum ? sum.sum.outputs[0] : out.outputs[0], null, null],
  );
  return [
    { parts: [...parts, carry], fused: step, at: scan },
    { parts: sum ? [out, sum.sum] : [out], fused: gated, at: sum ? sum.sum : out },
  ];
}

/** The step of the scan and out_proj as one, in parts that the norm of the next block adds up. */
function inParts({ scan, parts, inputs, dtRank, out, sum }: Half, graph: Graph, gpu: Gpu) {
  const { batch, dInner, dState } = scan.sizes;
  const [u, , , , , D, z, deltaBias, state] = scan.inputs;
  const { columns } = out.sizes;
  const whole = sum?.sum.outputs[0];
  if (!sum || !whole || !z || batch > 1 || gpu.storageBuffers < 12) return null;
  const [norm] = graph.readers(whole);
  if (!graph.producer(whole) || norm?.op.name !== "rmsNorm" || norm.sizes.dModel !== columns) return null;
  if (!graph.unchanged(sum.residual, out, sum.sum)) return null;
  if (!graph.readers(norm.outputs[0]!).every(isVectorProduct)) return null; // a norm has an output
  if (dInner % slabChannels > 0 || columns % slabChannels > 0 || columns > mostColumns) return null;
  if (dtRank + 2 * dState > mostBeside) return null;
  const slabs = dInner / slabChannels;
  if (4 * slabs * columns * (dInner / 16) > mostPartBytes) return null; // as if the next in_proj had 32 columns a workgroup
  const added: Buffer = { dtype: "f32", length: slabs * columns };
  const fused = forwardCall(
    selectiveProjectOp,
    { batch, dInner, dState, dtRank, parts: 1, columns },
    [u, ...inputs, D, z, deltaBias, state, out.inputs[1], sum.residual],
    [scan.outputs[1], added],
  );
  const adding = forwardCall(sumPartsOp, { parts: slabs, length: columns }, [added], [whole]);
  const fusions: Fusion[] = [
    { parts: [...parts, out], fused, at: out, makes: added },
    { parts: [sum.sum], fused: adding, at: sum.sum },
  ];
  return fusions.every((fusion) => graph.mayMove(fusion)) ? fusions : null;
}
