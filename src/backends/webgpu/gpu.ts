import { DeviceError } from "../../tensor/errors.ts";
import type { Gpu } from "./kernel.ts";

export interface GpuOptions {
  /** Whether kernels may use subgroups. Default: where the adapter has them. */
  subgroups?: boolean;
  /** Whether kernels may use `shader-f16`, as those of matrix units do; weights stored as f16 do not need it. Default: where it is. */
  f16?: boolean;
  /** Whether products by f16 weights may use matrix units, which round the other factor to f16. Default: where they are. */
  tensorCores?: boolean;
  /** Whether captured programs may put one kernel in the place of several. Default true. */
  fuse?: boolean;
  /** Ask for no more than what every WebGPU device has (8 storage buffers, 16 KiB, 256 invocations, 128 MiB). Default false. */
  defaultLimits?: boolean;
  /** Invocations that are thought to keep the GPU busy: kernels choose their tiles and parts by it. Default 65 536. */
  parallelism?: number;
  /** How scans go over time, where that should not follow from the sizes (see `Gpu`). */
  scan?: Gpu["scan"];
  /** How Fourier transforms are cut, where that should not follow from the limits (see `Gpu`). */
  fourier?: Gpu["fourier"];
}

/** Limits that kernels and tensors profit from. */
const wantedLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Features that kernels have variants for, as far as the adapter has them. */
const wantedFeatures = ["subgroups", "shader-f16", "timestamp-query"] as const;

/** Matrix units; in Dawn behind the flag allow_unsafe_apis, on NVIDIA's with vulkan_enable_f16_on_nvidia besides. */
const matrixFeature = "chromium-experimental-subgroup-matrix" as GPUFeatureName;

/**
 * The GPU's device, with all that its adapter offers and kernels can use.
 * @throws DeviceError when there is no adapter, with what the door knows about that, or it gives no device.
 */
export async function requestGpu(
  gpu: GPU,
  { defaultLimits = false, tensorCores = true }: GpuOptions,
  advice: string,
): Promise<GPUDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new DeviceError(`webgpu: no adapter: ${advice}`);
  const features = [...wantedFeatures, ...(tensorCores ? [matrixFeature] : [])];
  const requiredFeatures = features.filter((feature) => adapter.features.has(feature));
  const requiredLimits = defaultLimits
    ? {}
    : Object.fromEntries(wantedLimits.map((limit) => [limit, adapter.limits[limit]]));
  try {
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
    if (hasMatrices(device, adapter.info)) withMatrices.add(device);
    return device;
  } catch (error) {
    throw new DeviceError(
      `webgpu: the adapter gave no device: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** What kernels may count on. @throws DeviceError when an option asks for a feature that the device lacks. */
export function capabilitiesOf(device: GPUDevice, options: GpuOptions = {}): Gpu {
  const { limits, features, adapterInfo } = device;
  const has = (feature: GPUFeatureName, wanted: boolean | undefined) => {
    if (wanted && !features.has(feature)) {
      throw new DeviceError(`webgpu: the GPU has no ${feature}. Leave the option out.`);
    }
    return wanted ?? features.has(feature);
  };
  const { subgroupMinSize = 4, subgroupMaxSize = 128 } = adapterInfo;
  const f16 = has("shader-f16", options.f16);
  return {
    storageBuffers: limits.maxStorageBuffersPerShaderStage,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    invocations: limits.maxComputeInvocationsPerWorkgroup,
    subgroups: has("subgroups", options.subgroups) ? { least: subgroupMinSize, most: subgroupMaxSize } : null,
    f16,
    matrices: f16 && withMatrices.has(device),
    fuse: options.fuse ?? true,
    parallelism: options.parallelism ?? 65536,
    scan: options.scan,
    fourier: options.fourier,
  };
}

/** What every GPU that WebGPU runs on can do: to plan without one. */
export const leastGpu: Gpu = {
  storageBuffers: 8,
  workgroupBytes: 16384,
  invocations: 256,
  subgroups: null,
  f16: false,
  matrices: false,
  fuse: true,
  parallelism: 65536,
};

/** Devices with the one kind of matrix units that kernels use: only their adapters tell. */
const withMatrices = new WeakSet<GPUDevice>();

function hasMatrices({ features, limits }: GPUDevice, info: GPUAdapterInfo): boolean {
  const needed = [matrixFeature, "shader-f16", "subgroups"] as const;
  if (needed.some((feature) => !features.has(feature)) || info.subgroupMinSize !== 32) return false;
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> };
  const enough = limits.maxComputeWorkgroupStorageSize >= 28 * 1024;
  return (
    enough &&
    [...subgroupMatrixConfigs].some(
      ({ componentType, resultComponentType, M, N, K }) =>
        componentType === "f16" && resultComponentType === "f32" && M === 16 && N === 16 && K === 16,
    )
  );
}

interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What to tell people about a GPU. */
export interface GpuMachine {
  /** "nvidia h100 80gb hbm3", as far as the browser or the driver says. */
  readonly adapter: string;
  /** Computed by the CPU. */
  readonly software: boolean;
  /** Smallest and largest subgroup; null where kernels do without. */
  readonly subgroups: Gpu["subgroups"];
  readonly f16: boolean;
}

export function machineOf({ adapterInfo }: GPUDevice, { subgroups, f16 }: Gpu): GpuMachine {
  const { vendor, architecture, device, description, isFallbackAdapter = false } = adapterInfo;
  const model = /[g-z]/i.test(device.replace(/^0x/, "")) ? device : ""; // browsers give a number, if anything
  const names = [model.replaceAll("-", " ").trim() || `${vendor} ${architecture}`.trim(), description.trim()];
  return {
    adapter: names.filter((name) => name !== "").join(", ") || "a GPU that does not say which",
    software: isFallbackAdapter,
    subgroups,
    f16,
  };
}
