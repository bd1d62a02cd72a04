import type { Call, Plan } from "../../tensor/backend.ts";
import { fuse } from "./fusion/fuse.ts";
import { merge } from "./fusion/merge.ts";
import type { Gpu } from "./kernel.ts";
import { kernelSets } from "./kernels/list.ts";
import { type Dispatch, type Step, stepsFor } from "./step.ts";

/** What a program moves from and to slow memory. */
export interface Traffic {
  /** In the order of the first dispatch of each. */
  readonly kernels: readonly KernelTraffic[];
  /** Of the whole program: some of the kernels' dispatches run side by side, as one. */
  readonly dispatches: number;
  readonly bytes: number;
  readonly naiveBytes: number;
}

/** What the calls of one op in one direction move. */
export interface KernelTraffic {
  /** "selectiveScan backward" */
  readonly kernel: string;
  /** Calls as the model makes them; none of an op that stands for several. */
  readonly calls: number;
  /** Bytes if each were the usual composition of simple ops, every one of which reads and writes slow memory. */
  readonly naiveBytes: number;
  /** As they are dispatched. */
  readonly dispatches: number;
  readonly bytes: number;
  readonly operations: number;
}

/**
 * A backward pass of a composition against its forward pass, bytes: a simple op of one input reads it, or its output,
 * and the gradient, and writes a gradient: 3 numbers to 2. Those of two inputs have more.
 */
const backwardByForward = 1.5;

/** The traffic of a program on such a GPU, from its plan alone. */
export function trafficOf(plan: Plan, gpu: Gpu): Traffic {
  const found = new Map<string, { -readonly [Key in keyof KernelTraffic]: KernelTraffic[Key] }>();
  const single: Dispatch[] = [];
  const rowOf = ({ op, pass }: Call) => {
    const kernel = `${op.name} ${pass}`;
    const row = found.get(kernel) ?? {
      kernel,
      calls: 0,
      naiveBytes: 0,
      dispatches: 0,
      bytes: 0,
      operations: 0,
    };
    found.set(kernel, row);
    return row;
  };
  const stepFor = stepsFor(gpu);
  for (const call of (gpu.fuse ? fuse(plan, gpu, stepFor) : plan).calls) {
    const row = rowOf(call);
    for (const dispatch of stepFor(call).dispatches) {
      single.push(dispatch);
      row.dispatches++;
      row.bytes += dispatch.bytes;
      row.operations += dispatch.operations;
    }
  }
  for (const call of plan.calls) {
    const row = rowOf(call);
    row.calls++;
    row.naiveBytes += naiveBytesOf(call, stepFor);
  }
  const kernels = [...found.values()];
  const sum = (what: "bytes" | "naiveBytes") => kernels.reduce((all, row) => all + row[what], 0);
  return {
    kernels,
    dispatches: (gpu.fuse ? merge(single, gpu) : single).length,
    bytes: sum("bytes"),
    naiveBytes: sum("naiveBytes"),
  };
}

function naiveBytesOf(call: Call, stepFor: (call: Call) => Step): number {
  const stated = kernelSets[call.op.name]?.naiveBytes?.(call.sizes);
  if (stated !== undefined) return stated * (call.pass === "forward" ? 1 : backwardByForward);
  return stepFor(call).dispatches.reduce((sum, { bytes }) => sum + bytes, 0);
}
