import { CpuBackend } from "./backends/cpu/backend.ts";
import { SharedHeap } from "./backends/cpu/memory.ts";
import { Pool, type StartWorker } from "./backends/cpu/pool.ts";
import { compileWasm, instantiateWasm, wasmMemory } from "./backends/cpu/wasm.ts";
import { plainBackend } from "./backends/plain.ts";
import { Device } from "./tensor/device.ts";
import { DeviceError, UsageError } from "./tensor/errors.ts";

export * from "./index.ts";

/** The devices of a browser, fastest first. */
export const deviceNames = ["wasm", "plain"] as const;

export interface DeviceOptions {
  /** Which device. Default: the fastest that works here. */
  device?: string;
  /**
   * Threads of the wasm device. More than one needs a cross-origin isolated page (the headers
   * Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp).
   * Default: one per core where that holds, else 1.
   */
  threads?: number;
}

/** Opens a device in a page or, better, in a Web Worker, where waiting for other threads does not burn a core. */
export async function openDevice({ device, threads }: DeviceOptions = {}): Promise<Device> {
  if (device === "plain") return new Device(plainBackend());
  if (device === "wasm") return openWasm(threads);
  if (device !== undefined) {
    throw new UsageError(`device: must be one of ${deviceNames.join(", ")}, got ${device}.`);
  }
  try {
    return await openWasm(threads);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return new Device(plainBackend());
  }
}

async function openWasm(threads?: number): Promise<Device> {
  const shared = globalThis.crossOriginIsolated === true;
  const count = threads ?? (shared ? (globalThis.navigator?.hardwareConcurrency ?? 1) : 1);
  if (!Number.isInteger(count) || count < 1 || count > 256) {
    throw new UsageError(`threads: must be a whole number from 1 to 256, got ${count}.`);
  }
  if (count > 1 && !shared) {
    throw new DeviceError(
      `wasm: ${count} threads need a cross-origin isolated page. Send Cross-Origin-Opener-Policy: same-origin and ` +
        "Cross-Origin-Embedder-Policy: require-corp, or use threads: 1.",
    );
  }
  const memory = wasmMemory(shared);
  const { module } = await compileWasm(fetchBuild, shared);
  const kernels = instantiateWasm(module, memory);
  const heap = new SharedHeap(memory, kernels.heapBase);
  const mayBlock = globalThis.document === undefined; // a page's main thread may not wait
  const pool = new Pool(kernels, { kind: "wasm", module, memory }, heap, count, startWorker, mayBlock);
  await pool.ready();
  return new Device(new CpuBackend("wasm", heap, pool, kernels.lanes));
}

/** Written out one by one so that bundlers see the files. */
const builds = {
  relaxed: () => new URL("./backends/cpu/kernels.relaxed.wasm", import.meta.url),
  simd: () => new URL("./backends/cpu/kernels.simd.wasm", import.meta.url),
  single: () => new URL("./backends/cpu/kernels.single.wasm", import.meta.url),
};

async function fetchBuild(build: keyof typeof builds): Promise<Uint8Array<ArrayBuffer>> {
  const url = builds[build]();
  const response = await fetch(url);
  if (!response.ok) {
    throw new DeviceError(
      `wasm: ${url.href} answers ${response.status}. Serve the .wasm files of the package.`,
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}

const startWorker: StartWorker = (start) => {
  const worker = new Worker(new URL("./backends/cpu/browserWorker.js", import.meta.url), { type: "module" });
  worker.postMessage(start);
  return worker;
};
