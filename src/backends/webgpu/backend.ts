import {
  type Backend,
  type Buffer,
  bytesPerNumber,
  type Call,
  type Dtype,
  type Executable,
  type Numbers,
  type Plan,
} from "../../tensor/backend.ts";
import { DeviceError, DeviceLostError } from "../../tensor/errors.ts";
import { intervalsOf } from "../../tensor/plan.ts";
import { fuse } from "./fusion/fuse.ts";
import { merge } from "./fusion/merge.ts";
import { capabilitiesOf, type GpuMachine, type GpuOptions, machineOf } from "./gpu.ts";
import { decode, encode } from "./numbers.ts";
import { type Gpu, gridOf } from "./kernel.ts";
import { GpuHeap, type HeapUse, GpuTensorBuffer, paddedBytes } from "./memory.ts";
import { encodePass, timePasses } from "./pass.ts";
import { type Encoded, Pipelines } from "./pipelines.ts";
import { planSlots, type Slot } from "./slots.ts";
import { type Dispatch, stepOf, stepsFor } from "./step.ts";
import { placeUniforms, type UniformRange, UniformRing } from "./uniforms.ts";

/** A program on the GPU. */
export interface GpuExecutable extends Executable {
  readonly dispatches: readonly Dispatch[];
  /** Runs that often, in one submission. */
  repeat(times: number): void;
  /**
   * Runs so many passes, each of which is what `run` does, `times` times; with `of`, some dispatches only. Returns how long
   * one time took the GPU in each pass, in seconds; null where it has no clock. To begin and end a pass takes a few µs.
   */
  time(
    passes: number,
    options?: { times?: number; of?: (dispatch: Dispatch) => boolean },
  ): Promise<number[] | null>;
}

/** Dispatches of single calls that wait at most to be submitted together. */
const mostPending = 64;

/**
 * Runs WGSL kernels on a GPUDevice. Single calls are collected and submitted together, at the latest when something is
 * read; a captured program is one compute pass over bind groups that were made once.
 */
export class WebGpuBackend implements Backend {
  readonly name = "webgpu";
  readonly float = "f32";
  readonly gpu: Gpu;
  /** The adapter, for people. */
  readonly machine: GpuMachine;
  readonly device: GPUDevice;
  readonly #heap: GpuHeap;
  readonly #pipelines: Pipelines;
  readonly #uniforms: UniformRing;
  #pending: Encoded[] = [];
  /** Why nothing can be computed any more, or why what was computed is wrong. */
  #failure: DeviceError | null = null;
  #disposed = false;
  /** Gives back what nobody can reach any more. */
  readonly #collected = new FinalizationRegistry<readonly GPUBuffer[]>((memory) => {
    if (!this.#disposed) this.#release(memory);
  });

  constructor(device: GPUDevice, options: GpuOptions = {}) {
    this.device = device;
    this.gpu = capabilitiesOf(device, options);
    this.machine = machineOf(device, this.gpu);
    this.#heap = new GpuHeap(device);
    this.#pipelines = new Pipelines(device, (reason) => this.#fail(new DeviceError(reason)));
    this.#uniforms = new UniformRing(device, 4 * mostPending);
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event;
      if (error.message.startsWith("[Invalid ")) return; // a consequence: what made it invalid is reported itself
      const outOfMemory = error.constructor.name === "GPUOutOfMemoryError";
      this.#fail(
        outOfMemory
          ? new DeviceLostError(
              "webgpu: the GPU has no memory left. Use smaller batches or sequences, or another device.",
              true,
            )
          : new DeviceError(`webgpu: ${error.message}`),
      );
    });
    void device.lost.then(({ reason, message }) => {
      if (this.#disposed) return;
      this.#failure = new DeviceLostError(
        `webgpu: the GPU was lost (${message || reason || "no reason given"}). Open the device anew; ` +
          "a training run goes on from its last checkpoint.",
        false,
      );
    });
  }

  /** Buffers in use, their bytes, and all bytes held. */
  use(): HeapUse & { readonly heldBytes: number } {
    return this.#heap.use();
  }

  /** Pipelines compiled so far. */
  get pipelines(): number {
    return this.#pipelines.size;
  }

  allocate(dtype: Dtype, length: number): Buffer {
    if (dtype === "f64") throw new DeviceError("webgpu: computes in f32 only. Use the plain device for f64.");
    this.#expectAlive();
    const buffer = new GpuTensorBuffer(dtype, length, this.#heap.allocate(paddedBytes({ dtype, length })));
    this.#collected.register(buffer, [buffer.memory!], buffer); // just set
    return buffer;
  }

  free(buffer: Buffer): void {
    const own = buffer as GpuTensorBuffer;
    own.freed = true;
    if (own.holders > 0 || own.memory === null) return;
    this.#collected.unregister(own);
    this.#release([own.memory]);
    own.memory = null;
  }

  write(buffer: Buffer, values: ArrayLike<number>, offset = 0): void {
    this.#expectAlive();
    const memory = this.#memoryOf(buffer);
    this.#submit();
    if (offset + values.length > buffer.length) {
      throw new RangeError(`webgpu: ${values.length} numbers at ${offset} do not fit into ${buffer.length}`);
    }
    const data = encode(buffer.dtype, values, offset);
    this.device.queue.writeBuffer(memory, bytesPerNumber[buffer.dtype] * offset, data);
  }

  async read(buffer: Buffer): Promise<Numbers> {
    this.#expectAlive();
    const memory = this.#memoryOf(buffer);
    const bytes = paddedBytes(buffer);
    const staging = this.#heap.stage(bytes);
    const encoder = this.device.createCommandEncoder();
    this.#encodePending(encoder);
    encoder.copyBufferToBuffer(memory, 0, staging, 0, bytes);
    this.device.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(1); // GPUMapMode.READ
    } catch (error) {
      staging.destroy();
      await Promise.race([this.device.lost, delay(100)]); // of a loss, the read may know first
      throw (
        this.#failure ??
        new DeviceError(`webgpu: cannot read: ${error instanceof Error ? error.message : error}`)
      );
    }
    const values = decode(buffer, staging.getMappedRange());
    staging.unmap();
    this.#heap.unstage(staging);
    this.#expectAlive();
    return values;
  }

  run(call: Call): void {
    this.#expectAlive();
    const step = stepOf(call, this.gpu);
    const scratch = new Map(step.scratch.map((own) => [own, this.#heap.allocate(paddedBytes(own))]));
    const find = (buffer: Buffer) => scratch.get(buffer) ?? this.#memoryOf(buffer);
    try {
      for (const dispatch of step.dispatches) {
        const { uniforms } = dispatch.module;
        this.#pending.push(
          this.#encode(dispatch, find, uniforms.length > 0 ? this.#uniforms.place(uniforms) : null),
        );
        if (this.#pending.length >= mostPending) this.#submit();
      }
    } finally {
      this.#release([...scratch.values()]);
    }
  }

  async settle(): Promise<void> {
    this.#expectAlive();
    this.#submit();
    await this.device.queue.onSubmittedWorkDone();
    this.#expectAlive();
  }

  compile(plan: Plan): GpuExecutable {
    this.#expectAlive();
    const { gpu } = this;
    const stepFor = stepsFor(gpu);
    const { calls, planned } = gpu.fuse ? fuse(plan, gpu, stepFor) : plan;
    const steps = calls.map(stepFor);
    const scratch = steps.flatMap((step) => step.scratch);
    const single = steps.flatMap((step) => step.dispatches);
    const dispatches = gpu.fuse ? merge(single, gpu) : single;
    const { slots, arenaBytes, bytes } = planOf(dispatches, planned, scratch);
    const memory = new Map<Slot, GPUBuffer>();
    const outside = new Set<GpuTensorBuffer>();
    const find = (buffer: Buffer) => {
      const slot = slots.get(buffer);
      if (slot) return memory.get(slot)!; // every slot was given memory
      outside.add(buffer as GpuTensorBuffer);
      return this.#memoryOf(buffer);
    };
    const sets = dispatches.map(({ module }) => module.uniforms);
    const { buffer: uniforms, ranges } = placeUniforms(this.device, sets);
    let encoded: Encoded[];
    try {
      for (const slot of new Set(slots.values())) memory.set(slot, this.#heap.allocate(slot.bytes));
      encoded = dispatches.map((dispatch, i) => this.#encode(dispatch, find, ranges[i]));
    } catch (error) {
      this.#release([...memory.values()]);
      uniforms?.destroy();
      throw error;
    }
    for (const buffer of outside) buffer.holders++;
    const token = {};
    let freed = false;
    const commands = (times = 1) => {
      const encoder = this.device.createCommandEncoder();
      encodePass(encoder, encoded, times);
      return encoder.finish();
    };
    // Commands can be submitted once. Those of the next run are made while the GPU works on this one, but after what else
    // is submitted now, as the reading of a result is.
    let next: GPUCommandBuffer | null = null;
    const prepare = () => {
      if (!freed && !this.#disposed && !this.#failure) next ??= commands();
    };
    let runs = 0;
    const expectThere = () => {
      if (freed) throw new DeviceError("webgpu: the program was freed and then run again");
      this.#expectAlive();
    };
    const submit = (own: () => GPUCommandBuffer) => {
      expectThere();
      this.#submit();
      this.device.queue.submit([own()]);
    };
    const executable: GpuExecutable & { outside: unknown } = {
      bytes,
      arenaBytes,
      dispatches,
      outside, // bound by their memory only: without this reference they could be collected
      run: () => {
        submit(() => next ?? commands());
        next = null;
        if (++runs > 1) queueMicrotask(prepare);
      },
      repeat: (times: number) => submit(() => commands(times)),
      time: async (passes, { times = 1, of = () => true } = {}) => {
        await this.settle();
        expectThere();
        const some = encoded.filter((_, i) => of(dispatches[i]));
        const seconds = await timePasses(this.device, some, passes, times);
        return seconds?.map((all) => all / times) ?? null;
      },
      free: () => {
        if (freed) return;
        freed = true;
        next = null;
        this.#collected.unregister(token);
        this.#release([...memory.values()]);
        uniforms?.destroy();
        for (const buffer of outside) {
          buffer.holders--;
          if (buffer.freed) this.free(buffer);
        }
      },
    };
    this.#collected.register(executable, [...memory.values()], token);
    return executable;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#pending = [];
    this.#failure ??= new DeviceError("webgpu: the device was disposed and then used again");
    this.device.destroy();
  }

  #encode(dispatch: Dispatch, find: (buffer: Buffer) => GPUBuffer, uniforms: UniformRange | null): Encoded {
    const { pipeline, layout } = this.#pipelines.of(dispatch);
    const storage = dispatch.buffers.map((buffer) => ({
      buffer: find(buffer),
      size: paddedBytes(buffer),
    }));
    const resources: GPUBufferBinding[] = uniforms ? [...storage, uniforms] : storage;
    const bindings = this.device.createBindGroup({
      layout,
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
    const [columns, rows] = gridOf(dispatch.pass.workgroups);
    return { pipeline, bindings, columns, rows };
  }

  #encodePending(encoder: GPUCommandEncoder): void {
    if (this.#pending.length > 0) encodePass(encoder, this.#pending);
    this.#pending = [];
  }

  #submit(): void {
    if (this.#pending.length === 0) return;
    const encoder = this.device.createCommandEncoder();
    this.#encodePending(encoder);
    this.device.queue.submit([encoder.finish()]);
  }

  /** Gives memory back; the heap may destroy it, so what waits is submitted first. */
  #release(memory: readonly GPUBuffer[]): void {
    if (memory.length === 0) return;
    if (this.#heap.wouldDestroy(memory) && !this.#disposed) this.#submit();
    for (const buffer of memory) this.#heap.free(buffer);
  }

  #memoryOf(buffer: Buffer): GPUBuffer {
    const { memory } = buffer as GpuTensorBuffer;
    if (memory === null) throw new DeviceError("webgpu: the tensor was freed and then used again");
    return memory;
  }

  #fail(error: DeviceError): void {
    this.#failure ??= error;
  }

  #expectAlive(): void {
    if (this.#failure) throw this.#failure;
  }
}

/** Memory for what lives inside a program only, and how much of it is not scratch. */
function planOf(
  dispatches: readonly Dispatch[],
  planned: ReadonlySet<Buffer>,
  scratch: readonly Buffer[],
): { slots: Map<Buffer, Slot>; bytes: number; arenaBytes: number } {
  const touched = dispatches.map(({ buffers }) => buffers);
  const slots = planSlots(intervalsOf(touched, new Set([...planned, ...scratch])));
  const all = [...new Set(slots.values())];
  const total = (some: readonly Slot[]) => some.reduce((sum, slot) => sum + slot.bytes, 0);
  const held = all.filter(({ tenants }) => tenants.some(({ buffer }) => planned.has(buffer)));
  return { slots, bytes: total(all), arenaBytes: total(held) };
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
