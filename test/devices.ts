import { existsSync } from "node:fs";
import { addonPath } from "../src/backends/cpu/native.ts";
import type { GpuOptions } from "../src/backends/webgpu/gpu.ts";
import { openDevice } from "../src/node.ts";
import type { Device } from "../src/tensor/device.ts";

/**
 * Every device in f32, the plain one first; native where the build found a C compiler, the CPU ones on two threads; and
 * the GPU that the process finds (scripts/softwareGpu.ts). With STATEWISE_TEST_GPU=least that GPU alone, held to what
 * every WebGPU has.
 */
export async function openDevices(): Promise<Device[]> {
  if (process.env.STATEWISE_TEST_GPU === "least") {
    return [await openDevice({ device: "webgpu", gpu: { defaultLimits: true, subgroups: false } })];
  }
  const devices = [await openDevice({ device: "plain" }), await openDevice({ device: "wasm", threads: 2 })];
  if (existsSync(addonPath())) devices.push(await openDevice({ device: "native", threads: 2 }));
  else console.log("skipped native: there is no addon, since the build found no C compiler");
  devices.push(await openDevice({ device: "webgpu" }));
  return devices;
}

/** The GPU once for each of the options, to make its kernels choose otherwise. */
export async function openGpus(...options: GpuOptions[]): Promise<Device[]> {
  return Promise.all(options.map((gpu) => openDevice({ device: "webgpu", gpu })));
}
