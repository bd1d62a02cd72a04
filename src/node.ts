import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import v8 from "node:v8";
import { Worker } from "node:worker_threads";
import { CpuBackend } from "./backends/cpu/backend.ts";
import { SharedHeap } from "./backends/cpu/memory.ts";
import { addonPath, loadNative } from "./backends/cpu/native.ts";
import { type Kernels, type KernelSource, Pool, type StartWorker } from "./backends/cpu/pool.ts";
import { compileWasm, instantiateWasm, wasmMemory } from "./backends/cpu/wasm.ts";
import { plainBackend } from "./backends/plain.ts";
import { WebGpuBackend } from "./backends/webgpu/backend.ts";
import { openDawn } from "./backends/webgpu/dawn.ts";
import type { GpuOptions } from "./backends/webgpu/gpu.ts";
import type { Float } from "./tensor/backend.ts";
import { Device } from "./tensor/device.ts";
import { DeviceError, UsageError } from "./tensor/errors.ts";

export * from "./index.ts";
export type { GpuExecutable } from "./backends/webgpu/backend.ts";
export type { Gpu } from "./backends/webgpu/kernel.ts";
export { leastGpu } from "./backends/webgpu/gpu.ts";
export { type KernelTraffic, type Traffic, trafficOf } from "./backends/webgpu/traffic.ts";
export type { Dispatch as GpuDispatch } from "./backends/webgpu/step.ts";
export { diskFiles } from "./checkpoint/diskFiles.ts";

/** The devices of Node: those that are tried when none is asked for, fastest first, then the one that must be asked for. */
export const deviceNames = ["native", "wasm", "plain", "webgpu"] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface DeviceOptions {
  /** Which device. Default: the environment variable STATEWISE_DEVICE, else the fastest that works here. */
  device?: string;
  /**
   * Threads of a CPU device: it opens once all are there. Default: one per core, and it opens at once: the others join
   * as they have started.
   */
  threads?: number;
  /** f64 on the plain device only. Default f32. */
  float?: Float;
  /** Widest vectors of the native device: 8 (AVX2) keeps an AVX-512 machine to AVX2. Default 16. */
  lanes?: number;
  /** What the webgpu device may use of the GPU. Default: all that it offers. */
  gpu?: GpuOptions;
}

/**
 * Opens a device. Asking for one that is not there throws a DeviceError that says why; without asking, the fastest
 * that works is taken.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const wanted = options.device ?? process.env.STATEWISE_DEVICE;
  if (wanted !== undefined && wanted !== "") {
    const name = deviceNames.find((name) => name === wanted);
    if (!name) throw new UsageError(`device: must be one of ${deviceNames.join(", ")}, got ${wanted}.`);
    return open(name, options);
  }
  if (options.float === "f64") return open("plain", options);
  for (const name of deviceNames.slice(0, 3)) {
    try {
      return await open(name, options);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
  }
  throw new Error("internal: the plain device did not open");
}

async function open(name: DeviceName, options: DeviceOptions): Promise<Device> {
  const { threads, float = "f32", lanes } = options;
  if (name === "plain") return new Device(plainBackend(float));
  if (float === "f64") throw new DeviceError(`${name}: computes in f32 only. Use the plain device for f64.`);
  if (name === "webgpu") return openWebGpu(options.gpu);
  const count = threads ?? availableParallelism();
  if (!Number.isInteger(count) || count < 1 || count > 256) {
    throw new UsageError(`threads: must be a whole number from 1 to 256, got ${count}.`);
  }
  const memory = wasmMemory(true);
  let kernels: Kernels;
  let source: KernelSource;
  let heapBase = 65536;
  if (name === "native") {
    const path = addonPath();
    kernels = loadNative(path, memory, lanes);
    source = { kind: "native", path, lanes: kernels.lanes, memory };
  } else {
    allowRelaxedSimd();
    const { module } = await compileWasm(readBuild, true);
    const main = instantiateWasm(module, memory);
    ({ heapBase } = main);
    kernels = main;
    source = { kind: "wasm", module, memory };
  }
  const heap = new SharedHeap(memory, heapBase);
  const pool = new Pool(kernels, source, heap, count, startWorker, true);
  if (threads !== undefined) await pool.ready();
  return new Device(new CpuBackend(name, heap, pool, kernels.lanes));
}

async function openWebGpu(options: GpuOptions = {}): Promise<Device> {
  return new Device(new WebGpuBackend(await openDawn(options), options));
}

/** Node 20 has relaxed SIMD behind a flag; later versions have it on, and warn about the flag. */
function allowRelaxedSimd(): void {
  if (Number(process.versions.node.split(".")[0]) < 22)
    v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
}

async function readBuild(build: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await readFile(new URL(`./backends/cpu/kernels.${build}.wasm`, import.meta.url)));
}

const startWorker: StartWorker = (workerData, failed) => {
  const worker = new Worker(new URL("./backends/cpu/worker.js", import.meta.url), { workerData });
  worker.on("error", failed);
  worker.unref();
  return worker;
};
