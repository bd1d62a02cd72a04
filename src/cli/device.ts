import { type Device, openDevice, UsageError } from "../node.ts";
import type { Values } from "./flag.ts";
import type { deviceFlags } from "./flags.ts";

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
      throw new UsageError(`${device.name}: has 1 thread, --threads asks for ${threads}. Leave it out.`);
    }
    return await use(device);
  } finally {
    await device.dispose();
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

/** "2 threads, AVX-512 (16 floats at a time)" */
export function describeDevice(device: Device): string {
  const { threads, lanes } = machineOf(device);
  if (threads === undefined || lanes === undefined) return "1 thread, plain loops: right, but slow";
  const vectors: Record<number, string> = { 16: "AVX-512", 8: "AVX2", 4: "SIMD128" };
  return `${threads} thread${threads === 1 ? "" : "s"}, ${vectors[lanes] ?? "vectors"} (${lanes} floats at a time)`;
}
