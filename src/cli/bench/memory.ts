import { type Case, lineOf, paceOf } from "./cases.ts";
import { gpuLimits } from "./gpuLimits.ts";
import { interleave } from "./measure.ts";
import { fmaCase, readBuffer, readCase } from "./probes.ts";
import type { BenchContext, Topic } from "./topic.ts";

/** The limits themselves: what every other topic is compared with. */
export const memory: Topic = {
  summary: "bandwidth of caches and memory, and the rate of fused multiply-adds",

  async run(context: BenchContext): Promise<void> {
    const cases = context.device.name === "webgpu" ? [...gpuLimits(context).cases] : cpuCases(context);
    try {
      const samples = await interleave(cases, paceOf(context));
      for (const subject of cases) context.report(lineOf("memory", context, subject, samples, null));
    } finally {
      for (const subject of cases) subject.free();
      context.progress("");
    }
  },
};

function cpuCases({ device, threads, quick }: BenchContext): Case[] {
  const sizes = quick ? [2 ** 16, 2 ** 20] : [threads * 2 ** 18, threads * 2 ** 22, 2 ** 29];
  const buffer = readBuffer(device, Math.max(...sizes));
  const reads = sizes.flatMap((bytes) => [
    readCase(buffer, bytes, threads, 1),
    readCase(buffer, bytes, threads, 4),
  ]);
  const fma = fmaCase(device, 64 * threads, quick ? 64 : 4096);
  return [
    ...reads,
    {
      ...fma,
      free() {
        fma.free();
        buffer.free();
      },
    },
  ];
}
