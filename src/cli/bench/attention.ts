import { attention as attend, capture, type Device, gradients } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { productCase } from "./gemm.ts";
import { uniform } from "./inputs.ts";
import type { Topic } from "./topic.ts";

interface Size {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

const sizes: readonly Size[] = [
  { batch: 1, length: 4096, heads: 8, kvHeads: 8, headDim: 64 },
  { batch: 1, length: 1024, heads: 8, kvHeads: 8, headDim: 64 },
  { batch: 16, length: 256, heads: 4, kvHeads: 4, headDim: 32 },
];

const decoded: readonly Size[] = [
  { batch: 1, length: 4096, heads: 8, kvHeads: 8, headDim: 64 },
  { batch: 1, length: 4096, heads: 8, kvHeads: 2, headDim: 64 },
];

const small: readonly Size[] = [{ batch: 2, length: 16, heads: 2, kvHeads: 1, headDim: 8 }];

export const attention: Topic = {
  summary: "causal attention, forward, and forward with backward, and one query on a full cache",
  run(context) {
    const { device, quick } = context;
    const product = productCase(
      device,
      quick ? { rows: 64, columns: 48, inner: 32 } : { rows: 2048, columns: 3072, inner: 768 },
    );
    const sequences = (quick ? small : sizes).flatMap((size) => [
      sequenceCase(device, size, product, false),
      sequenceCase(device, size, product, true),
    ]);
    const queries = (quick ? small : decoded).map((size) => queryCase(device, size));
    return runCases("attention", context, [product, ...sequences, ...queries]);
  },
};

/**
 * Two products of what each query sees forward; five more backward, counting the scores that it computes again. What
 * softmax takes is not counted: it is what keeps the rate below that of a product of matrices.
 */
function sequenceCase(device: Device, size: Size, product: Case, backward: boolean): Case {
  const { batch, length, heads, headDim } = size;
  const [q, k, v] = inputsOf(device, size, length);
  const forward = () => attend(q, k, v);
  const program = capture<unknown>(device, () => (backward ? gradients([q, k, v], forward) : forward()));
  const flops = (backward ? 7 : 2) * batch * heads * headDim * length * (length + 1);
  return {
    name: `${nameOf(size)} forward${backward ? " and backward" : ""}`,
    bytes: 4 * (backward ? 3 : 1) * (q.buffer.length + k.buffer.length + v.buffer.length + q.buffer.length),
    flops,
    work: { amount: flops / 1e9, unit: "GFLOP" },
    against: product,
    ...replays(program),
    details: () => ({ programBytes: program.bytes }),
    free() {
      for (const part of [program, q, k, v]) part.free();
    },
  };
}

/** One query: the time is that of reading the cache. */
function queryCase(device: Device, size: Size): Case {
  const [q, k, v] = inputsOf(device, size, 1);
  const program = capture(device, () => attend(q, k, v));
  const bytes = 4 * (2 * q.buffer.length + k.buffer.length + v.buffer.length);
  return {
    name: `${nameOf(size)} one query`,
    bytes,
    flops: 4 * size.batch * size.heads * size.headDim * size.length,
    work: { amount: bytes / 1e9, unit: "GB" },
    ...replays(program),
    free() {
      for (const part of [program, q, k, v]) part.free();
    },
  };
}

function inputsOf(device: Device, { batch, length, heads, kvHeads, headDim }: Size, queries: number) {
  return [
    uniform(device, [batch, queries, heads, headDim]),
    uniform(device, [batch, length, kvHeads, headDim]),
    uniform(device, [batch, length, kvHeads, headDim]),
  ];
}

function nameOf({ batch, length, heads, kvHeads, headDim }: Size): string {
  return `B${batch} L${length} H${heads}${kvHeads < heads ? `/${kvHeads}` : ""} d${headDim}`;
}
