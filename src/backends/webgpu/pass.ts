import type { Encoded } from "./pipelines.ts";

/** GPUBufferUsage, which is a global in browsers only. */
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const QUERY_RESOLVE = 0x200;

/** One compute pass of all dispatches, that often. */
export function encodePass(
  encoder: GPUCommandEncoder,
  dispatches: readonly Encoded[],
  times = 1,
  timestampWrites?: GPUComputePassTimestampWrites,
): void {
  const pass = encoder.beginComputePass(timestampWrites && { timestampWrites });
  let current: GPUComputePipeline | null = null;
  for (let i = 0; i < times; i++) {
    for (const { pipeline, bindings, columns, rows } of dispatches) {
      if (pipeline !== current) pass.setPipeline(pipeline);
      current = pipeline;
      pass.setBindGroup(0, bindings);
      pass.dispatchWorkgroups(columns, rows);
    }
  }
  pass.end();
}

/** Passes whose times one query set holds: a device has sets of 4096 numbers. */
const mostTimed = 2048;

/**
 * Runs so many passes, in each of which all dispatches come that often, and returns how long the GPU took for each pass, in
 * seconds; null without a clock.
 */
export async function timePasses(
  device: GPUDevice,
  dispatches: readonly Encoded[],
  passes: number,
  times: number,
): Promise<number[] | null> {
  if (!device.features.has("timestamp-query")) return null;
  const seconds: number[] = [];
  for (let left = passes; left > 0; left -= mostTimed) {
    seconds.push(...(await timeSome(device, dispatches, Math.min(left, mostTimed), times)));
  }
  return seconds;
}

async function timeSome(
  device: GPUDevice,
  dispatches: readonly Encoded[],
  passes: number,
  times: number,
): Promise<number[]> {
  const count = 2 * passes;
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const resolved = device.createBuffer({ size: 8 * count, usage: QUERY_RESOLVE | COPY_SRC });
  const staging = device.createBuffer({ size: 8 * count, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  for (let i = 0; i < passes; i++) {
    encodePass(encoder, dispatches, times, {
      querySet,
      beginningOfPassWriteIndex: 2 * i,
      endOfPassWriteIndex: 2 * i + 1,
    });
  }
  encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
  device.queue.submit([encoder.finish()]);
  try {
    await staging.mapAsync(1); // GPUMapMode.READ
    const ticks = new BigUint64Array(staging.getMappedRange());
    return Array.from({ length: passes }, (_, i) => Number(ticks[2 * i + 1] - ticks[2 * i]) / 1e9);
  } finally {
    querySet.destroy();
    for (const buffer of [resolved, staging]) buffer.destroy();
  }
}
