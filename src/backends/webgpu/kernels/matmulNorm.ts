/**
 * A product in parts of inner, added to a residual, and the RMS norm of what that gives: the pass that adds the parts up has
 * whole rows and normalizes them, too. Traffic: that of matmulAdd and of rmsNorm, but the sum is not read again. A product
 * in one part has nothing to do with it: its tiles have no whole rows.
 */
import type { KernelSet } from "../kernel.ts";
import { gemm } from "./gemm.ts";
import { forwardProduct, plan } from "./matmul.ts";
import { normOfSum } from "./norm.ts";

export const matmulNorm: KernelSet = {
  floats: ["epsilon"],
  dynamic: ["rows", "epsilon"],
  forward(call, gpu) {
    const product = forwardProduct(call);
    const { rows, dModel } = call.sizes;
    const { tile, parts } = plan(product, gpu);
    const [products] = gemm(product, tile, parts); // what adds the parts up is the norm's pass
    return {
      passes: [products, normOfSum(rows, dModel, parts)],
      scratch: { partials: parts * rows * dModel },
    };
  },
};
