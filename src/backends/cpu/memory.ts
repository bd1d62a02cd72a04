import { DeviceError } from "../../tensor/errors.ts";

const pageBytes = 65536;
const mostPages = 65536; // 4 GiB: what a 32-bit offset reaches
const alignment = 64;

/** A stretch of memory that nobody uses. */
interface Gap {
  start: number;
  end: number;
}

/**
 * The one memory that TypeScript, wasm and native code share, and its allocator: first fit over a sorted list of
 * gaps, neighbours merged. Addresses are byte offsets, multiples of 64; 0 is never given out.
 */
export class SharedHeap {
  readonly memory: WebAssembly.Memory;
  readonly #gaps: Gap[];
  readonly #sizes = new Map<number, number>();
  #used = 0;

  /** `firstFree`: what lies below belongs to the wasm module (its data and the main thread's stack). */
  constructor(memory: WebAssembly.Memory, firstFree: number) {
    this.memory = memory;
    this.#gaps = [{ start: Math.max(alignUp(firstFree), alignment), end: memory.buffer.byteLength }];
  }

  /** Bytes given out and not yet freed. */
  used(): number {
    return this.#used;
  }

  allocate(bytes: number): number {
    const size = Math.max(alignUp(bytes), alignment);
    let gap = this.#gaps.find(({ start, end }) => end - start >= size);
    if (gap === undefined) {
      this.#grow(size);
      gap = this.#gaps[this.#gaps.length - 1];
    }
    const address = gap.start;
    gap.start += size;
    if (gap.start === gap.end) this.#gaps.splice(this.#gaps.indexOf(gap), 1);
    this.#sizes.set(address, size);
    this.#used += size;
    return address;
  }

  /** Freeing twice, or what was never allocated, is our own bug. */
  free(address: number): void {
    const size = this.#sizes.get(address);
    if (size === undefined) throw new Error(`internal: free(${address}), which is not allocated`);
    this.#sizes.delete(address);
    this.#used -= size;
    const end = address + size;
    const next = this.#gaps.findIndex((gap) => gap.start > address);
    const at = next < 0 ? this.#gaps.length : next;
    this.#gaps.splice(at, 0, { start: address, end });
    this.#merge(at);
    this.#merge(at - 1);
  }

  /** Joins gap `i` with the one after it when they touch. */
  #merge(i: number): void {
    const gap = this.#gaps[i];
    const next = this.#gaps[i + 1];
    if (gap === undefined || next === undefined || gap.end !== next.start) return;
    gap.end = next.end;
    this.#gaps.splice(i + 1, 1);
  }

  /** Makes the last gap at least `bytes` long. */
  #grow(bytes: number): void {
    const end = this.memory.buffer.byteLength;
    const last = this.#gaps.at(-1);
    const missing = bytes - (last?.end === end ? end - last.start : 0);
    const pages = Math.ceil(missing / pageBytes);
    const have = end / pageBytes;
    const wanted = Math.min(Math.max(pages, Math.ceil(have / 4)), mostPages - have); // by a quarter: few growths
    try {
      if (pages > mostPages - have) throw new RangeError("past 4 GiB");
      this.memory.grow(wanted);
    } catch (cause) {
      throw new DeviceError(
        `cpu: needs ${mebibytes(bytes)} MiB more beside ${mebibytes(this.#used)} MiB in use, ` +
          `and the memory of a CPU device ends at 4096 MiB. Use a smaller batch, length or model.`,
        { cause },
      );
    }
    const grown = this.memory.buffer.byteLength;
    if (last?.end === end) last.end = grown;
    else this.#gaps.push({ start: end, end: grown });
  }
}

function alignUp(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
