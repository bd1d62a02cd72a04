import type { Sizes } from "../../../tensor/op.ts";

/** What the size of a task or of scratch may depend on besides the call. Results never do. */
export interface Machine {
  readonly threads: number;
  /** Floats in a vector: 4 (wasm), 8 (AVX2) or 16 (AVX-512). */
  readonly lanes: number;
}

/** One C function over a number of independent tasks. */
export interface Pass {
  readonly symbol: string;
  readonly tasks: number;
}

/** How one op, forward or backward, runs on the CPU: its passes, in order, with a barrier between them. */
export interface Kernel {
  passes(sizes: Sizes, machine: Machine): readonly Pass[];
  /** Floats of scratch, shared by all passes of the call; their content is undefined at the start. */
  scratch?(sizes: Sizes, machine: Machine): number;
  /**
   * Estimated work in float operations; below `parallelWork` one thread does it all.
   * Default: the number of floats in all buffers of the call.
   */
  work?(sizes: Sizes): number;
}

/**
 * The kernels of one op. The C struct of a forward kernel holds, in this order: a ref per input, a ref per output,
 * scratch, pass, then `sizes`. That of a backward kernel: inputs, outputs, output gradients, input gradients,
 * accumulate (bit i: add to gradient i instead of overwriting it), scratch, pass, sizes.
 */
export interface KernelSet {
  /** Every C function that the passes below may name. */
  readonly symbols: readonly string[];
  readonly sizes: readonly string[];
  /** Of the sizes, those that the struct holds as float. */
  readonly floats?: readonly string[];
  readonly forward?: Kernel;
  readonly backward?: Kernel;
}

/** A kernel of one pass, named as its C function. */
export function onePass(symbol: string, tasks: (sizes: Sizes, machine: Machine) => number): Kernel {
  return { passes: (sizes, machine) => [{ symbol, tasks: tasks(sizes, machine) }] };
}

/** A task for each `block` elements: long enough to be worth claiming, and a multiple of every vector. */
export const block = 4096;

export function blocks(size: number): number {
  return Math.ceil(size / block);
}
