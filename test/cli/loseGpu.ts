/** Imported before the command line: its GPU is lost at the reads that LOSE_AT names, "5,40". */
import { WebGpuBackend } from "../../src/backends/webgpu/backend.ts";

const at = (process.env.LOSE_AT ?? "").split(",");
const read = Object.getOwnPropertyDescriptor(WebGpuBackend.prototype, "read")!.value as WebGpuBackend["read"]; // a method
let reads = 0;

WebGpuBackend.prototype.read = function (this: WebGpuBackend, buffer) {
  if (at.includes(String(++reads))) this.device.destroy();
  return read.call(this, buffer);
};
