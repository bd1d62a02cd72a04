import type { Buffer, Call } from "../../../tensor/backend.ts";
import type { Op } from "../../../tensor/op.ts";
import { columnsOf, mostInParts } from "../kernels/project.ts";
import { slabChannels } from "../kernels/selectiveProject.ts";
import { stepChannels } from "../kernels/selectiveStep.ts";
import { forwardCall, isVectorProduct, readsRows } from "./calls.ts";
import type { Rule } from "./fuse.ts";
import { projectOp, selectiveProjectOp, selectiveStepOp } from "./fusedOps.ts";

/** Who takes the product in parts: as their second input. */
const scans = [selectiveStepOp.name, selectiveProjectOp.name];

/** Bytes that all workgroups of a scan may read of the parts together: from the caches, in less than a dispatch takes. */
const mostBytes = 2 ** 25;

/**
 * x_proj of one token without a dispatch: a workgroup that has just made some channels multiplies them by their rows of
 * the weight, and those who need the product add up what all workgroups have. Where those are too many, it does not pay.
 */
export const projectionParts: Rule = (call, graph, gpu) => {
  const { op, sizes, inputs, outputs } = call;
  if (op.name !== projectOp.name || !inputs[7] || gpu.storageBuffers < 11) return null;
  const [y] = outputs;
  const product = graph
    .readers(y!) // y0 is there
    .find((reader) => isVectorProduct(reader) && readsRows(reader, y, sizes.c0));
  const whole = product?.outputs[0];
  const [step] = whole ? graph.readers(whole) : [];
  if (!product || !step || !scans.includes(step.op.name) || step.inputs[1] !== whole) return null;
  if (!graph.sole(whole, step, "matmul") || step.inputs[0] !== y || step.sizes.dInner !== sizes.c0)
    return null;
  if (step.sizes.dtRank + 2 * step.sizes.dState !== product.sizes.columns) return null;

  const { rows, columns } = product.sizes;
  if ([sizes.c0, sizes.c1, sizes.c2].some((c) => c % 4 !== 0)) return null; // the channels are made in fours
  const made = columnsOf(sizes, gpu);
  const parts = sizes.c0 / made;
  const readers = workgroupsOf(step);
  if (!Number.isInteger(parts) || columns % 4 !== 0 || columns > mostInParts.columns) return null;
  if (rows * made > mostInParts.channels || 4 * columns * parts * readers > mostBytes) return null;
  const projected: Buffer = { dtype: "f32", length: rows * parts * columns };
  const [weight] = product.inputs.slice(1);
  const [u, , ...others] = step.inputs;
  const fused = forwardCall(
    projectOp,
    { ...sizes, cx: columns },
    [...inputs.slice(0, 10), weight],
    [...outputs.slice(0, 3), projected, outputs[4] ?? null],
  );
  const summing = forwardCall(
    step.op as Op<never>,
    { ...step.sizes, parts },
    [u, projected, ...others],
    step.outputs,
  );
  return [
    { parts: [call, product], fused, at: call, makes: projected },
    { parts: [step], fused: summing, at: step },
  ];
};

function workgroupsOf({ op, sizes: { batch, dInner, columns } }: Call): number {
  if (op.name === selectiveStepOp.name) return batch * Math.ceil(dInner / stepChannels);
  return (dInner * columns) / slabChannels ** 2;
}
