import type { GpuDispatch, GpuExecutable } from "../../node.ts";
import { gpuOf } from "../device.ts";
import type { Case, Limit, Limits } from "./cases.ts";
import { copyCase, fmaCase } from "./probes.ts";
import type { BenchContext } from "./topic.ts";

/** A captured program on the GPU; null on any other device. */
export function gpuExecutableOf(executable: object): GpuExecutable | null {
  return "dispatches" in executable ? (executable as GpuExecutable) : null;
}

/** Bytes that copies move, from what caches hold to what none does. */
const copied = [16, 18, 20, 22, 24, 26, 28].map((power) => 2 ** power);

/** Floats that keep every FMA unit of a large GPU busy, in tasks of 160. */
const tasks = 2 ** 15;

export interface GpuLimits extends Limits {
  /** The longer of: a copy that moves as many bytes as the kernel says it does, its operations at the rate of FMAs. */
  limitOfDispatches(
    dispatches: readonly Pick<GpuDispatch, "bytes" | "operations">[],
    secondsOf: (subject: Case) => number,
  ): Limit;
}

/**
 * The limits of a GPU: copies of several sizes, and multiply-adds in registers. A program's limit is the sum of those
 * of its dispatches. A small copy takes as long as a dispatch takes to begin and end, and so may any kernel.
 */
export function gpuLimits({ device, quick }: BenchContext): GpuLimits {
  const slow = quick || gpuOf(device)?.software === true;
  const copies = (slow ? copied.slice(0, 2) : copied).map((bytes) => copyCase(device, bytes));
  const fma = fmaCase(device, slow ? 16 : tasks, slow ? 64 : 4096);
  const cases = [...copies, fma];
  const limitOfDispatches: GpuLimits["limitOfDispatches"] = (dispatches, secondsOf) => {
    const fmaRate = fma.flops / secondsOf(fma);
    const copySeconds = interpolate(copies.map((copy) => [copy.bytes, secondsOf(copy)] as const));
    const largest = copies[copies.length - 1];
    let [seconds, moving, declaredBytes, declaredOperations] = [0, 0, 0, 0];
    for (const { bytes, operations } of dispatches) {
      const copying = copySeconds(bytes);
      const computing = operations / fmaRate;
      seconds += Math.max(copying, computing);
      if (copying > computing) moving += copying;
      declaredBytes += bytes;
      declaredOperations += operations;
    }
    return {
      kind: moving > seconds / 2 ? "memory bandwidth" : "FMA rate",
      seconds,
      details: {
        copyGBs: largest.bytes / secondsOf(largest) / 1e9,
        fmaGFLOPs: fmaRate / 1e9,
        dispatches: dispatches.length,
        declaredBytes,
        declaredOperations,
      },
    };
  };
  return {
    cases,
    limitOfDispatches,
    limitOf: ({ executables, bytes, flops }, secondsOf) =>
      limitOfDispatches(
        executables?.flatMap(({ dispatches }) => dispatches) ?? [{ bytes, operations: flops }],
        secondsOf,
      ),
    free() {
      for (const probe of cases) probe.free();
    },
  };
}

/** Straight lines through the points, which ascend; before the first the first, after the last its rate. */
function interpolate(points: readonly (readonly [number, number])[]): (x: number) => number {
  return (x) => {
    const i = points.findIndex(([at]) => at >= x);
    const [lastX, lastY] = points[points.length - 1];
    if (i < 0) return (x / lastX) * lastY;
    if (i === 0) return points[0][1];
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    return y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
  };
}
