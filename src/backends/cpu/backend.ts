import {
  type Backend,
  type Buffer,
  type Call,
  type Dtype,
  type Executable,
  type Numbers,
  type Plan,
} from "../../tensor/backend.ts";
import { DeviceError } from "../../tensor/errors.ts";
import type { Machine } from "./kernels/table.ts";
import type { SharedHeap } from "./memory.ts";
import type { Pool } from "./pool.ts";
import { encode, programBytes, scratchBytes } from "./program.ts";

class CpuBuffer implements Buffer {
  readonly dtype: Dtype;
  readonly length: number;
  /** Byte offset in the shared memory; 0 once freed. */
  address: number;

  constructor(dtype: Dtype, length: number, address: number) {
    this.dtype = dtype;
    this.length = length;
    this.address = address;
  }
}

/**
 * Runs C kernels, wasm or native, on one shared memory with a pool of threads. Every call, eager or captured, is a
 * program: a list of kernel calls in that memory, run by one call into compiled code.
 */
export class CpuBackend implements Backend {
  readonly name: string;
  readonly float = "f32";
  /** Threads and vector width. */
  readonly machine: Machine;
  readonly #heap: SharedHeap;
  readonly #pool: Pool;
  readonly #collected: FinalizationRegistry<number>;

  constructor(name: string, heap: SharedHeap, pool: Pool, lanes: number) {
    this.name = name;
    this.machine = { threads: pool.threads, lanes };
    this.#heap = heap;
    this.#pool = pool;
    this.#collected = new FinalizationRegistry((address) => heap.free(address));
  }

  /** Bytes in use, of tensors and programs. */
  used(): number {
    return this.#heap.used();
  }

  allocate(dtype: Dtype, length: number): Buffer {
    if (dtype === "f64")
      throw new DeviceError(`${this.name}: computes in f32 only. Use the plain device for f64.`);
    const buffer = new CpuBuffer(dtype, length, this.#heap.allocate(4 * length));
    this.#collected.register(buffer, buffer.address, buffer);
    return buffer;
  }

  free(buffer: Buffer): void {
    const own = buffer as CpuBuffer;
    if (own.address === 0) return;
    this.#collected.unregister(own);
    this.#heap.free(own.address);
    own.address = 0;
  }

  write(buffer: Buffer, values: ArrayLike<number>, offset = 0): void {
    this.#view(buffer).set(values, offset);
  }

  async read(buffer: Buffer): Promise<Numbers> {
    return this.#view(buffer).slice();
  }

  run(call: Call): void {
    const executable = this.#assemble([call], (buffer) => this.#addressOf(buffer));
    executable.run();
    executable.free();
  }

  compile({ calls, offsets, bytes }: Plan): Executable {
    const arena = bytes > 0 ? this.#heap.allocate(bytes) : 0;
    const executable = this.#assemble(calls, (buffer) => {
      const offset = offsets.get(buffer);
      return offset === undefined ? this.#addressOf(buffer) : arena + offset;
    });
    return {
      bytes: bytes + executable.bytes,
      run: executable.run,
      free: () => {
        executable.free();
        if (arena) this.#heap.free(arena);
      },
    };
  }

  dispose(): Promise<void> {
    return this.#pool.stop();
  }

  #assemble(calls: readonly Call[], addressOf: (buffer: Buffer) => number): Executable {
    const { machine } = this;
    const scratchSize = scratchBytes(calls, machine);
    const programSize = programBytes(calls, machine);
    const scratch = scratchSize > 0 ? this.#heap.allocate(scratchSize) : 0;
    const program = this.#heap.allocate(programSize);
    const { words, entries, parallel } = encode(calls, { machine, program, scratch, addressOf });
    new Int32Array(this.#heap.memory.buffer, program, words.length).set(words);
    return {
      bytes: scratchSize + programSize,
      run: () => this.#pool.run(program, entries, parallel),
      free: () => {
        this.#heap.free(program);
        if (scratch) this.#heap.free(scratch);
      },
    };
  }

  #addressOf(buffer: Buffer): number {
    const { address } = buffer as CpuBuffer;
    if (address === 0) throw new DeviceError(`${this.name}: the tensor was freed and then used again`);
    return address;
  }

  #view(buffer: Buffer): Numbers {
    const array = buffer.dtype === "i32" ? Int32Array : Float32Array;
    return new array(this.#heap.memory.buffer, this.#addressOf(buffer), buffer.length);
  }
}
