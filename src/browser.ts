import { CpuBackend } from "./backends/cpu/backend.ts";
import { SharedHeap } from "./backends/cpu/memory.ts";
import { Pool, type StartWorker } from "./backends/cpu/pool.ts";
import { compileWasm, instantiateWasm, wasmMemory } from "./backends/cpu/wasm.ts";
import { plainBackend } from "./backends/plain.ts";
import { WebGpuBackend } from "./backends/webgpu/backend.ts";
import { type GpuOptions, requestGpu } from "./backends/webgpu/gpu.ts";
import { Device } from "./tensor/device.ts";
import { DeviceError, UsageError } from "./tensor/errors.ts";

export * from "./index.ts";

/** The devices of a browser, fastest first. */
export const deviceNames = ["webgpu", "wasm", "plain"] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface DeviceOptions {
  /** Which device. Default: webgpu where the browser has a GPU for us, else wasm; the device's name says which it is. */
  device?: string;
  /**
   * Threads of the wasm device. More than one needs a cross-origin isolated page (the headers
   * Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp).
   * Default where that holds: one per core in a Web Worker, one fewer in a page, whose thread may not sleep. Else 1.
   */
  threads?: number;
  /** What the webgpu device may use of the GPU. Default: all that it offers. */
  gpu?: GpuOptions;
}

/**
 * Opens a device in a page or, better, in a Web Worker: there the page stays responsive, and waiting for other
 * threads does not burn a core. Asking for one that is not there throws a DeviceError that says why; the plain device,
 * far slower, is only taken when asked for.
 */
export async function openDevice({ device, threads, gpu = {} }: DeviceOptions = {}): Promise<Device> {
  switch (device) {
    case "plain":
      return new Device(plainBackend());
    case "wasm":
      return openWasm(threads);
    case "webgpu":
      return openWebGpu(gpu);
    case undefined:
      return openWebGpu(gpu).catch((error: unknown) => {
        if (error instanceof DeviceError) return openWasm(threads);
        throw error;
      });
    default:
      throw new UsageError(`device: must be one of ${deviceNames.join(", ")}, got ${device}.`);
  }
}

async function openWebGpu(options: GpuOptions): Promise<Device> {
  const gpu = globalThis.navigator?.gpu as GPU | undefined; // the types promise it to every page
  if (!gpu) {
    throw new DeviceError(
      globalThis.isSecureContext
        ? "webgpu: this browser has no WebGPU, or it is switched off. Use a newer one, or the wasm device."
        : "webgpu: only secure pages have it. Serve the page by https or from localhost, or use the wasm device.",
    );
  }
  const advice =
    "this browser has WebGPU, but no GPU that it may use (in Chromium, chrome://gpu says why). Use the wasm device.";
  return new Device(new WebGpuBackend(await requestGpu(gpu, options, advice), options));
}

async function openWasm(threads?: number): Promise<Device> {
  const shared = globalThis.crossOriginIsolated === true;
  const mayBlock = globalThis.document === undefined; // a page's main thread may not wait
  const count = threads ?? (shared ? threadsHere(mayBlock) : 1);
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
  const pool = new Pool(kernels, { kind: "wasm", module, memory }, heap, count, startWorker, mayBlock);
  if (threads !== undefined) await pool.ready();
  return new Device(new CpuBackend("wasm", heap, pool, kernels.lanes));
}

function threadsHere(mayBlock: boolean): number {
  const cores = globalThis.navigator?.hardwareConcurrency ?? 1;
  return Math.max(1, mayBlock ? cores : cores - 1);
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
  if (!response.ok) throw new Error(`${url.href} answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const startWorker: StartWorker = (start, failed) => {
  const worker = new Worker(new URL("./backends/cpu/browserWorker.js", import.meta.url), { type: "module" });
  worker.addEventListener("error", failed);
  worker.postMessage(start);
  return worker;
};
