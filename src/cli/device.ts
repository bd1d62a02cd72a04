import { setTimeout } from "node:timers/promises";
import { type Device, DeviceLostError, openDevice, UsageError } from "../node.ts";
import type { Values } from "./flag.ts";
import type { deviceFlags } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `use` with the device that flags or environment ask for, else the fastest; gives threads and memory back. */
export async function withDevice<Result>(
  { device: name, threads }: Values<typeof deviceFlags>,
  use: (device: Device) => Promise<Result>,
): Promise<Result> {
  const device = await openDevice({
    ...(name !== undefined && { device: name }),
    ...(threads !== undefined && { threads }),
  });
  try {
    if (threads !== undefined && threads > 1 && machineOf(device).threads === undefined) {
      const has = gpuOf(device) ? "is no CPU device" : "has 1 thread";
      throw new UsageError(`${device.name}: ${has}, --threads asks for ${threads}. Leave it out.`);
    }
    return await use(device);
  } finally {
    await device.dispose();
  }
}

/** A GPU that was reset needs a moment. */
const recoveryMs = 1000;

/** Losses of the device in a row, nothing having been saved between them, that a run is taken up again after. */
const mostLosses = 3;

interface Lasting {
  readonly terminal: Terminal;
  /** What is saved, as text: another one each time something is. */
  saved(): Promise<string>;
  /** Before the device is opened anew. */
  readonly pauseMs?: number;
}

/**
 * As withDevice, for work that saves what it did and goes on from there: where the GPU is lost, `use` is called again
 * with the device opened anew. It gives up where it was for want of memory, or time and again, and nothing was saved in
 * between.
 */
export async function withLastingDevice<Result>(
  values: Values<typeof deviceFlags>,
  { terminal, saved, pauseMs = recoveryMs }: Lasting,
  use: (device: Device) => Promise<Result>,
): Promise<Result> {
  let before = await saved();
  for (let losses = 0; ;) {
    try {
      return await withDevice(values, use);
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      const now = await saved();
      losses = now === before ? losses + 1 : 1;
      if (losses > mostLosses || (error.outOfMemory && now === before)) throw error;
      before = now;
      terminal.note(`${error.message} The device is opened anew.`);
      terminal.emit({ type: "lost", reason: error.message });
      await setTimeout(pauseMs);
    }
  }
}

/** Threads and vector width of a CPU device; nothing of the plain one. */
export function machineOf({ backend }: Device): { threads?: number; lanes?: number } {
  if (!("machine" in backend)) return {};
  const { machine } = backend;
  if (typeof machine !== "object" || machine === null) return {};
  const { threads, lanes } = machine as { threads?: unknown; lanes?: unknown };
  return {
    ...(typeof threads === "number" && { threads }),
    ...(typeof lanes === "number" && { lanes }),
  };
}

/** "2 threads, AVX-512 (16 floats at a time)"; "nvidia h100 80gb hbm3, subgroups of 32, f16" */
export function describeDevice(device: Device): string {
  const gpu = gpuOf(device);
  if (gpu) return describeGpu(gpu);
  const { threads, lanes } = machineOf(device);
  if (threads === undefined || lanes === undefined) return "1 thread, plain loops: right, but slow";
  const vectors: Record<number, string> = { 16: "AVX-512", 8: "AVX2", 4: "SIMD128" };
  return `${threads} thread${threads === 1 ? "" : "s"}, ${vectors[lanes] ?? "vectors"} (${lanes} floats at a time)`;
}

/** What the backend says of a GPU. */
export interface GpuMachine {
  readonly adapter: string;
  readonly software: boolean;
  readonly subgroups: { readonly least: number; readonly most: number } | null;
  readonly f16: boolean;
}

/** Null for a CPU device. */
export function gpuOf({ backend }: Device): GpuMachine | null {
  return backend.name === "webgpu" && "machine" in backend ? (backend.machine as GpuMachine) : null;
}

function describeGpu({ adapter, software, subgroups, f16 }: GpuMachine): string {
  const range = subgroups && [...new Set([subgroups.least, subgroups.most])].join(" to ");
  return [
    adapter,
    ...(software ? ["in software: right, but slow"] : []),
    range ? `subgroups of ${range}` : "no subgroups",
    ...(f16 ? ["f16"] : []),
  ].join(", ");
}
