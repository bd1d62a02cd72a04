import { DeviceError } from "../../tensor/errors.ts";
import { type GpuOptions, requestGpu } from "./gpu.ts";

/** Dawn, WebGPU outside of browsers: a process may have one. */
let dawn: GPU | undefined;

/** The GPU in Node. @throws DeviceError that says what is missing: the package, the Vulkan loader, or a driver. */
export async function openDawn(options: GpuOptions): Promise<GPUDevice> {
  const flags = process.env.STATEWISE_DAWN?.split(" ") ?? [];
  const load = dawn ? undefined : await loadPackage();
  if (process.platform === "linux" && !flags.some((flag) => flag.startsWith("backend="))) expectVulkan();
  dawn ??= load!(precise(flags)); // loaded where there is no Dawn yet
  const advice =
    process.platform === "linux"
      ? "no Vulkan driver here offers a GPU. Install the driver of the GPU (vulkaninfo --summary lists those that are " +
        "there), or use another device."
      : "no driver here offers a GPU. Use another device.";
  return requestGpu(dawn, options, advice);
}

/** Browsers blur the GPU's clock for the sake of privacy; nothing here is to be kept from its user. */
function precise(flags: readonly string[]): string[] {
  const clock = "timestamp_quantization";
  const others = flags.filter((flag) => !flag.startsWith("disable-dawn-features="));
  const disabled = flags.filter((flag) => !others.includes(flag)).map((flag) => flag.split("=")[1]);
  return [...others, `disable-dawn-features=${[...disabled, clock].join(",")}`];
}

async function loadPackage(): Promise<(flags: string[]) => GPU> {
  const name = "webgpu"; // not a literal: it is an optional peer, whose types need not be there
  try {
    return ((await import(name)) as { create(flags: string[]): GPU }).create;
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    const missing = error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
    throw new DeviceError(
      missing
        ? 'webgpu: the npm package "webgpu" (Dawn) is not installed. Install it beside statewise: npm install webgpu.'
        : `webgpu: the npm package "webgpu" (Dawn) cannot be loaded on this system: ${why}. Use another device.`,
    );
  }
}

/** Dawn itself only warns on standard error and then finds no adapter. */
function expectVulkan(): void {
  const library = "libvulkan.so.1";
  try {
    process.dlopen({ exports: {} }, library);
  } catch (error) {
    // Any other error is that the library is no addon of Node's: so it is there.
    if (!(error instanceof Error) || !/cannot open shared object/.test(error.message)) return;
    throw new DeviceError(
      `webgpu: there is no Vulkan on this system (${library}). Install its loader (Debian, Ubuntu: apt install ` +
        "libvulkan1) and the driver of the GPU, or use another device.",
    );
  }
}
