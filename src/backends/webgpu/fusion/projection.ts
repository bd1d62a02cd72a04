import type { Buffer, Call } from "../../../tensor/backend.ts";
import type { Gpu } from "../kernel.ts";
import { mostRows } from "../kernels/gemv.ts";
import { rangeNames } from "../kernels/matmul.ts";
import { onTensorCores } from "../kernels/tensorCores.ts";
import { carryOf, forwardCall, isVectorProduct, readsRows, residualOf } from "./calls.ts";
import type { Rule } from "./fuse.ts";
import { convStepOp, matmulAddOp, matmulSplitOp, projectOp, sumPartsOp } from "./fusedOps.ts";
import type { Fusion, Graph } from "./graph.ts";

/** Most products of one row that are made in one dispatch. */
const mostProducts = 3;

/** Products with what stands around them: a residual after, and of few rows a norm before or the step of a convolution after. */
export const projection: Rule = (call, graph, gpu) =>
  normed(call, graph, gpu) ?? added(call, graph, gpu) ?? parted(call, graph, gpu) ?? convolved(call, graph);

/** RMS norm, and the products of what it gives. */
const normed = (norm: Call, graph: Graph, gpu: Gpu): readonly Fusion[] | null => {
  if (norm.op.name !== "rmsNorm" || norm.pass !== "forward") return null;
  const [u, gain] = norm.inputs;
  const [y] = norm.outputs;
  const products = graph.readers(y!); // a norm has an output
  if (products.length < 1 || products.length > mostProducts || !graph.producer(y)) return null;
  const { rows, dModel: inner, epsilon } = norm.sizes;
  if (!products.every((product) => isVectorProduct(product) && readsRows(product, y, inner))) return null;
  const adding = addingOf(norm, graph);
  const step = gpu.storageBuffers >= 9 && products.length <= 2 ? stepAfter(products, graph) : null;
  const ordered = step ? [step.product, ...products.filter((product) => product !== step.product)] : products;
  const [c0, c1, c2] = [0, 1, 2].map((i) => ordered[i]?.sizes.columns ?? 0);
  const weights = [0, 1, 2].map((i) => ordered[i]?.inputs[1] ?? null);
  const results: (Buffer | null)[] = [0, 1, 2].map((i) => ordered[i]?.outputs[0] ?? null);
  const sizes = { rows, inner, epsilon, c0, c1, c2, ...(adding && { uParts: adding.sizes.parts }) };
  const parts = [...(adding ? [adding] : []), norm, ...products];
  const read = adding ? adding.inputs[0] : u;
  const whole = adding && graph.readers(u!).length > 1 ? u : null; // a norm has an input
  if (!step) {
    const inputs = [read, gain, null, ...weights, null, null, null, null];
    const outputs = [...results, null, whole];
    return [{ parts, fused: forwardCall(projectOp, sizes, inputs, outputs), at: norm }];
  }
  const { conv, carry } = step;
  const [, weight, bias, state] = conv.inputs;
  const { dConv, silu } = conv.sizes;
  const inputs = [read, gain, null, ...weights, null, weight, bias, state];
  const outputs = [conv.outputs[0], ...results.slice(1), null, whole];
  return [
    {
      parts: [...parts, conv, carry],
      fused: forwardCall(projectOp, { ...sizes, dConv, silu }, inputs, outputs),
      at: norm,
    },
  ];
};

/** What adds up the norm's input, where the norm is the first to read it and there is room to do it there. */
function addingOf(norm: Call, graph: Graph): Call | null {
  const [u] = norm.inputs;
  const adding = graph.producer(u);
  const first = adding?.op.name === sumPartsOp.name && norm.sizes.rows === 1 && graph.readers(u!)[0] === norm;
  return first ? adding : null;
}

/** The one-token convolution of one of the products, whose state moves on in place. */
function stepAfter(
  products: readonly Call[],
  graph: Graph,
): { product: Call; conv: Call; carry: Call } | null {
  for (const product of products) {
    const [conv] = graph.readers(product.outputs[0]!); // a product has an output
    if (!conv || !graph.sole(product.outputs[0], conv, "matmul")) continue;
    const carry = stepOfConvolution(conv, graph);
    const alike = conv.inputs[0] === product.outputs[0] && conv.sizes.channels === product.sizes.columns;
    if (carry && alike) return { product, conv, carry };
  }
  return null;
}

/** What carries the state of a one-token convolution on. */
function stepOfConvolution({ op, pass, sizes, inputs, outputs }: Call, graph: Graph): Call | null {
  if (op.name !== "causalConv1d" || pass !== "forward" || sizes.length !== 1 || sizes.dConv < 2) return null;
  const [, , , state, resets] = inputs;
  return resets ? null : carryOf(outputs[1], state, graph);
}

/** A product, and the residual that it is added to. */
const added = (product: Call, graph: Graph, gpu: Gpu): readonly Fusion[] | null => {
  if (product.op.name !== "matmul" || product.pass !== "forward" || usesMatrices(product, gpu)) return null;
  const found = residualOf(product, graph);
  if (!found) return null;
  const { sum, residual } = found;
  if (!isVectorProduct(product)) {
    const fused = forwardCall(matmulAddOp, product.sizes, [...product.inputs, residual], sum.outputs);
    return [{ parts: [product, sum], fused, at: sum }];
  }
  const { rows, inner, columns } = product.sizes;
  const [u, weight] = product.inputs;
  const sizes = { rows, inner, c0: columns, c1: 0, c2: 0 };
  const inputs = [u, null, null, weight, null, null, residual, null, null, null];
  return [
    {
      parts: [product, sum],
      fused: forwardCall(projectOp, sizes, inputs, [sum.outputs[0], null, null]),
      at: sum,
    },
  ];
};

/** Whether a product goes by matrix units, whose kernel has no room for anything else. */
function usesMatrices({ sizes, inputs }: Call, gpu: Gpu): boolean {
  return onTensorCores({ sizes, dtype: () => inputs[1]!.dtype }, gpu); // a product has two factors
}

/** A product of many rows, and what splits its columns. */
const parted = (product: Call, graph: Graph, gpu: Gpu): readonly Fusion[] | null => {
  const { op, pass, sizes, inputs, outputs } = product;
  if (op.name !== "matmul" || pass !== "forward" || sizes.rows <= mostRows) return null;
  if (usesMatrices(product, gpu)) return null;
  const [y] = outputs;
  const [split] = graph.readers(y!); // a product has an output
  if (!split || !/^split\d$/.test(split.op.name) || !graph.sole(y, split, "matmul")) return null;
  if (split.sizes.rows !== sizes.batch * sizes.rows) return null;
  if (split.outputs.length > rangeNames.length) return null;
  const fused = forwardCall(
    matmulSplitOp,
    { ...sizes, ...split.sizes, rows: sizes.rows },
    inputs,
    split.outputs,
  );
  return [{ parts: [product, split], fused, at: product }];
};

/** The step of a convolution alone. */
const convolved = (conv: Call, graph: Graph): readonly Fusion[] | null => {
  const carry = stepOfConvolution(conv, graph);
  if (!carry) return null;
  const [u, weight, bias, state] = conv.inputs;
  const fused = forwardCall(convStepOp, conv.sizes, [u, weight, bias, state], [conv.outputs[0]]);
  return [{ parts: [conv, carry], fused, at: conv }];
};
