import type { KernelSet } from "../kernel.ts";
import { activationSets } from "./activation.ts";
import { rmsNorm } from "./rmsNorm.ts";

/** Every op that the GPU has kernels for, by name. */
export const kernelSets: Readonly<Record<string, KernelSet>> = {
  ...activationSets,
  rmsNorm,
};
