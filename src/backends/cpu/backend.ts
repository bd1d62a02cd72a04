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
import { planMemory } from "../../tensor/plan.ts";
import type { Machine } from "./kernels/table.ts";
import type { SharedHeap } from "./memory.ts";
import type { Pool } from "./pool.ts";
import { encode, programBytes, scratchBytes } from "./program.ts";

const none: ReadonlySet<Buffer> = new Set();

class CpuBuffer implements Buffer {
  readonly dtype: Dtype;
  readonly length: number;
  /** Byte offset in the shared memory; 0 once the memory is given back. */
  address: number;
  /** Compiled programs that name the address: it stays valid while there are any. */
  holders = 0;
  freed = false;

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
  /** Gives back what nobody can reach any more: the addresses of buffers and programs. */
  readonly #collected: FinalizationRegistry<readonly number[]>;

  constructor(name: string, heap: SharedHeap, pool: Pool, lanes: number) {
    this.name = name;
    this.machine = { threads: pool.threads, lanes };
    this.#heap = heap;
    this.#pool = pool;
    this.#collected = new FinalizationRegistry((addresses) => {
      for (const address of addresses) heap.free(address);
    });
  }

  /** Bytes in use, of tensors and programs. */
  used(): number {
    return this.#heap.used();
  }

  allocate(dtype: Dtype, length: number): Buffer {
    if (dtype === "f64")
      throw new DeviceError(`${this.name}: computes in f32 only. Use the plain device for f64.`);
    if (dtype === "f16")
      throw new DeviceError(`${this.name}: stores no f16. Use f32 weights, or the webgpu device.`);
    const buffer = new CpuBuffer(dtype, length, this.#heap.allocate(4 * length));
    this.#collected.register(buffer, [buffer.address], buffer);
    return buffer;
  }

  free(buffer: Buffer): void {
    const own = buffer as CpuBuffer;
    own.freed = true;
    if (own.holders > 0 || own.address === 0) return;
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
    const { program, entries, parallel, addresses } = this.#assemble({
      calls: [call],
      planned: none,
    });
    this.#pool.run(program, entries, parallel);
    for (const address of addresses) this.#heap.free(address);
  }

  compile(plan: Plan): Executable {
    const { program, entries, parallel, addresses, outside, bytes, arenaBytes } = this.#assemble(plan);
    for (const buffer of outside) buffer.holders++;
    const token = {};
    let freed = false;
    const executable = {
      bytes,
      arenaBytes,
      outside, // named by address only: without this reference they could be collected
      run: () => {
        if (freed) throw new DeviceError(`${this.name}: the program was freed and then run again`);
        this.#pool.run(program, entries, parallel);
      },
      free: () => {
        if (freed) return;
        freed = true;
        this.#collected.unregister(token);
        for (const address of addresses) this.#heap.free(address);
        for (const buffer of outside) {
          buffer.holders--;
          if (buffer.freed) this.free(buffer);
        }
      },
    };
    this.#collected.register(executable, addresses, token);
    return executable;
  }

  dispose(): Promise<void> {
    return this.#pool.stop();
  }

  /** Writes a program and all it needs into the shared memory. */
  #assemble({ calls, planned }: Plan) {
    const { machine } = this;
    const { offsets, bytes: arenaBytes } = planMemory(calls, planned);
    const scratchSize = scratchBytes(calls, machine);
    const programSize = programBytes(calls, machine);
    const addresses: number[] = [];
    const allocate = (size: number) => {
      if (size === 0) return 0;
      const address = this.#heap.allocate(size);
      addresses.push(address);
      return address;
    };
    try {
      const [arena, scratch, program] = [arenaBytes, scratchSize, programSize].map(allocate);
      const outside = new Set<CpuBuffer>();
      const addressOf = (buffer: Buffer) => {
        const offset = offsets.get(buffer);
        if (offset !== undefined) return arena + offset;
        outside.add(buffer as CpuBuffer);
        return this.#addressOf(buffer);
      };
      const { words, entries, parallel } = encode(calls, { machine, program, scratch, addressOf });
      new Int32Array(this.#heap.memory.buffer, program, words.length).set(words);
      const bytes = arenaBytes + scratchSize + programSize;
      return { program, entries, parallel, addresses, outside, bytes, arenaBytes };
    } catch (error) {
      for (const address of addresses) this.#heap.free(address);
      throw error;
    }
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
