/** What several rules ask of the calls of a program, and how they make new ones. */
import type { Buffer, Call, MaybeBuffer } from "../../../tensor/backend.ts";
import type { Op } from "../../../tensor/op.ts";
import { mostRows } from "../kernels/gemv.ts";
import type { Graph } from "./graph.ts";

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

/** Whether a product's rows are those that the buffer was written in: a tensor that was given another shape shares its buffer. */
export function readsRows({ sizes, inputs }: Call, buffer: MaybeBuffer | undefined, inner: number): boolean {
  return inputs[0] === buffer && sizes.inner === inner;
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
