import { partsOf } from "../kernels/matmul.ts";
import { forwardCall } from "./calls.ts";
import type { Rule } from "./fuse.ts";
import { matmulAddOp, matmulNormOp } from "./fusedOps.ts";

/** RMS norm of a residual stream, where the pass that last adds to it goes over it anyway. */
export const normOfSum: Rule = (norm, graph, gpu) => {
  if (norm.op.name !== "rmsNorm" || norm.pass !== "forward") return null;
  const [u, gain] = norm.inputs;
  const product = graph.producer(u);
  if (product?.op.name !== matmulAddOp.name || product.sizes.batch !== 1) return null;
  if (partsOf(product.sizes, gpu) === 1) return null;
  const { dModel, epsilon } = norm.sizes;
  if (dModel !== product.sizes.columns) return null;
  const inputs = [...product.inputs, gain];
  const outputs = [u, norm.outputs[0]];
  const fused = forwardCall(matmulNormOp, { ...product.sizes, dModel, epsilon }, inputs, outputs);
  return [{ parts: [product, norm], fused, at: product }];
};
