import type { Dispatch } from "./step.ts";

/** A dispatch as the GPU takes it. */
export interface Encoded {
  readonly pipeline: GPUComputePipeline;
  readonly bindings: GPUBindGroup;
  readonly columns: number;
  readonly rows: number;
}

const COMPUTE = 0x4; // GPUShaderStage, which is a global in browsers only

/** Compiles each module once. What does not compile is reported through `failed`, with the name of its kernel. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #failed: (reason: string) => void;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, { pipeline: GPUComputePipeline; layout: GPUBindGroupLayout }>();

  constructor(device: GPUDevice, failed: (reason: string) => void) {
    this.#device = device;
    this.#failed = failed;
  }

  /** How many there are. */
  get size(): number {
    return this.#pipelines.size;
  }

  of({ label, module: { code, uniforms }, pass }: Dispatch): {
    pipeline: GPUComputePipeline;
    layout: GPUBindGroupLayout;
  } {
    const known = this.#pipelines.get(code);
    if (known) return known;
    const device = this.#device;
    const layout = this.#layout(pass.reads.length, pass.writes.length, uniforms.length > 0);
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code, label });
    const pipeline = device.createComputePipeline({
      label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    void device.popErrorScope().then((error) => {
      if (error) this.#failed(`internal: the kernel ${label} does not compile: ${error.message}\n${code}`);
    });
    const made = { pipeline, layout };
    this.#pipelines.set(code, made);
    return made;
  }

  #layout(reads: number, writes: number, uniform: boolean): GPUBindGroupLayout {
    const key = `${reads} ${writes} ${uniform}`;
    const known = this.#layouts.get(key);
    if (known) return known;
    const types: GPUBufferBindingType[] = [
      ...Array.from({ length: reads }, () => "read-only-storage" as const),
      ...Array.from({ length: writes }, () => "storage" as const),
      ...(uniform ? (["uniform"] as const) : []),
    ];
    const layout = this.#device.createBindGroupLayout({
      entries: types.map((type, binding) => ({ binding, visibility: COMPUTE, buffer: { type } })),
    });
    this.#layouts.set(key, layout);
    return layout;
  }
}
