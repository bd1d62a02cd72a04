import type { GpuOptions } from "../../src/backends/webgpu/gpu.ts";
import { type Device, openDevice } from "../../src/browser.ts";

/** What ../devices.ts is to tests in Node: here one device, and what it may use, as the address of the page says. */
export async function openDevices(): Promise<Device[]> {
  const asked = new URLSearchParams(location.search);
  const bare = asked.has("bare");
  const gpu = bare ? { defaultLimits: true, subgroups: false, f16: false } : {};
  return [await openDevice({ device: asked.get("device") ?? "webgpu", gpu })];
}

/** Kernels that choose otherwise: once, in the page without limits. */
export async function openGpus(...options: GpuOptions[]): Promise<Device[]> {
  const { search } = location;
  return search === "" ? Promise.all(options.map((gpu) => openDevice({ device: "webgpu", gpu }))) : [];
}
