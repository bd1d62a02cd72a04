import { openDevice } from "../src/node.ts";
import type { Device } from "../src/tensor/device.ts";

/** The devices that this machine can open; the plain one first, in f32. Shared by all tests of one file. */
export async function openDevices(): Promise<Device[]> {
  const devices: Device[] = [];
  for (const device of ["plain", "wasm", "native"]) {
    try {
      devices.push(await openDevice({ device, threads: device === "plain" ? undefined : 2 }));
    } catch (error) {
      console.log(`skipped ${device}: ${(error as Error).message}`);
    }
  }
  return devices;
}
