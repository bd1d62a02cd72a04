import { accessesOf, type Call, type Plan } from "../../../tensor/backend.ts";
import type { Gpu } from "../kernel.ts";
import type { Step } from "../step.ts";
import { type Accesses, type Fusion, Graph } from "./graph.ts";
import { elementwiseChain } from "./elementwiseChain.ts";
import { mambaStep } from "./mambaStep.ts";
import { normOfSum } from "./normOfSum.ts";
import { projection } from "./projection.ts";
import { projectionParts } from "./projectionParts.ts";

/** Looks for a fusion that ends in, or begins with, this call. */
export type Rule = (call: Call, graph: Graph, gpu: Gpu) => readonly Fusion[] | null;

/** In this order: what a rule took is not there for those after it. */
const rules: readonly Rule[] = [mambaStep, projection, projectionParts, normOfSum, elementwiseChain];

/**
 * Puts one call in the place of several, where that saves dispatches and slow memory: what they hand each other then
 * stays in registers. A program computes the same with and without, but for rounding.
 */
export function fuse({ calls, planned }: Plan, gpu: Gpu, stepOf: (call: Call) => Step): Plan {
  // A backward call names all that its op has; its kernel says what it reads of that.
  const accesses: Accesses = (call) =>
    call.pass === "forward" ? accessesOf(call) : boundOf(call, stepOf(call));
  let current = calls;
  const buffers = new Set(planned);
  for (const rule of rules) {
    const graph = new Graph(current, buffers, accesses);
    const taken = new Set<Call>();
    const placed = new Map<Call, Call>();
    for (const call of current) {
      if (taken.has(call)) continue;
      const fusions = rule(call, graph, gpu) ?? [];
      const parts = fusions.flatMap((fusion) => fusion.parts);
      if (fusions.length === 0 || parts.some((part) => taken.has(part))) continue;
      if (!fusions.every((fusion) => graph.mayMove(fusion))) continue;
      for (const part of parts) taken.add(part);
      for (const { at, fused, makes } of fusions) {
        placed.set(at, fused);
        if (makes) buffers.add(makes);
      }
    }
    current = current.flatMap((call) => placed.get(call) ?? (taken.has(call) ? [] : [call]));
  }
  return { calls: current, planned: buffers };
}

function boundOf(call: Call, { dispatches }: Step): ReturnType<Accesses> {
  const bound = new Set(dispatches.flatMap(({ buffers }) => buffers));
  const { reads, writes } = accessesOf(call);
  return { reads: reads.filter((buffer) => bound.has(buffer)), writes };
}
