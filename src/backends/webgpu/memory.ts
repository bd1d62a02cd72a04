import { type Buffer, bytesOf, type Dtype } from "../../tensor/backend.ts";
import { DeviceError } from "../../tensor/errors.ts";

/** GPUBufferUsage, which is a global in browsers only. */
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const STORAGE = 0x80;

/** Memory that is kept for the next tensors when others give it back. */
const mostIdleBytes = 2 ** 28;

/** Bytes of the GPU memory behind a buffer: whole vectors of 16, so that kernels may read past the last number. */
export function paddedBytes(buffer: Buffer): number {
  return Math.max(16, Math.ceil(bytesOf(buffer) / 16) * 16);
}

/** A tensor's numbers on the GPU. */
export class GpuTensorBuffer implements Buffer {
  readonly dtype: Dtype;
  readonly length: number;
  /** Null once the memory is given back. */
  memory: GPUBuffer | null;
  /** Compiled programs that bind the memory: it stays valid while there are any. */
  holders = 0;
  freed = false;

  constructor(dtype: Dtype, length: number, memory: GPUBuffer) {
    this.dtype = dtype;
    this.length = length;
    this.memory = memory;
  }
}

/** What a heap holds. */
export interface HeapUse {
  readonly buffers: number;
  readonly bytes: number;
}

/**
 * GPU memory in use, and memory given back that waits for a tensor of the same size. The GPU works in the order of
 * submission, so memory can be given to the next tensor while the work on the last one is still to come.
 */
export class GpuHeap {
  readonly #device: GPUDevice;
  readonly #idle = new Map<number, GPUBuffer[]>();
  #idleBytes = 0;
  #used = 0;
  #usedBytes = 0;
  readonly #staging = new Map<number, GPUBuffer[]>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Buffers in use, and all memory held: idle and staging buffers too. */
  use(): HeapUse & { readonly heldBytes: number } {
    const staging = [...this.#staging].reduce((sum, [size, list]) => sum + size * list.length, 0);
    return {
      buffers: this.#used,
      bytes: this.#usedBytes,
      heldBytes: this.#usedBytes + this.#idleBytes + staging,
    };
  }

  /** Storage of at least `bytes`, of undefined content. @throws DeviceError when a pass could not bind so much. */
  allocate(bytes: number): GPUBuffer {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const most = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (bytes > most) {
      throw new DeviceError(
        `webgpu: a tensor needs a buffer of ${mebibytes(bytes)}, this device binds ${mebibytes(most)} at most. ` +
          "Use smaller batches or sequences, or another device.",
      );
    }
    const idle = this.#idle.get(bytes)?.pop();
    if (idle) this.#idleBytes -= bytes;
    const buffer = idle ?? this.#device.createBuffer({ size: bytes, usage: STORAGE | COPY_SRC | COPY_DST });
    this.#used++;
    this.#usedBytes += bytes;
    return buffer;
  }

  /** Whether giving these back would destroy memory: then all work that names it must be submitted before. */
  wouldDestroy(buffers: readonly GPUBuffer[]): boolean {
    return buffers.reduce((sum, { size }) => sum + size, this.#idleBytes) > mostIdleBytes;
  }

  /** Takes storage back: for the next tensor of that size, or, past what is kept idle, for good. */
  free(buffer: GPUBuffer): void {
    const { size } = buffer;
    this.#used--;
    this.#usedBytes -= size;
    if (this.#idleBytes + size > mostIdleBytes) this.#trim();
    if (this.#idleBytes + size > mostIdleBytes) {
      buffer.destroy();
      return;
    }
    this.#idleBytes += size;
    const list = this.#idle.get(size);
    if (list) list.push(buffer);
    else this.#idle.set(size, [buffer]);
  }

  /** A buffer for one read; as many may be in flight as there are reads. */
  stage(bytes: number): GPUBuffer {
    return (
      this.#staging.get(bytes)?.pop() ??
      this.#device.createBuffer({ size: bytes, usage: MAP_READ | COPY_DST })
    );
  }

  unstage(buffer: GPUBuffer): void {
    const list = this.#staging.get(buffer.size) ?? [];
    if (list.length >= 4 || buffer.size > 2 ** 24) buffer.destroy();
    else this.#staging.set(buffer.size, [...list, buffer]);
  }

  #trim(): void {
    for (const list of this.#idle.values()) for (const buffer of list) buffer.destroy();
    this.#idle.clear();
    this.#idleBytes = 0;
  }
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}
