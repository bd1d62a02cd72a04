import { accessesOf, type Buffer, bytesOf, type Call, type MaybeBuffer } from "../../tensor/backend.ts";
import { DeviceError } from "../../tensor/errors.ts";
import { kernelSets, symbols } from "./kernels/list.ts";
import type { Kernel, KernelSet, Machine } from "./kernels/table.ts";

/** Float operations below which waking another thread costs more than it saves (about 10 µs). */
const parallelWork = 30_000;
const entryWords = 6; // struct Entry of program.c
const BARRIER = 1;
const SERIAL = 2;
const indexOf = new Map(symbols.map((symbol, index) => [symbol, index]));

/** A program as words, ready to be copied to its address, and what it needs. */
export interface Encoded {
  readonly words: Int32Array;
  readonly entries: number;
  /** False when every entry is too small to share: then one thread runs it, and no other is woken. */
  readonly parallel: boolean;
}

/** Where things are while a program runs. */
export interface Layout {
  readonly machine: Machine;
  /** Byte address of the program itself. */
  readonly program: number;
  readonly scratch: number;
  addressOf(buffer: Buffer): number;
}

/** Bytes of scratch that the hungriest of the calls needs. */
export function scratchBytes(calls: readonly Call[], machine: Machine): number {
  const floats = calls.map((call) => kernelOf(call).kernel.scratch?.(call.sizes, machine) ?? 0);
  return 4 * floats.reduce((a, b) => Math.max(a, b), 0);
}

/** Bytes of the encoded program. */
export function programBytes(calls: readonly Call[], machine: Machine): number {
  const words = calls.map((call) => {
    const { kernel } = kernelOf(call);
    return kernel.passes(call.sizes, machine).length * (entryWords + argumentCount(call));
  });
  return 4 * words.reduce((a, b) => a + b, 0);
}

/** Entries first, their arguments behind them. */
export function encode(calls: readonly Call[], layout: Layout): Encoded {
  const { machine } = layout;
  const words: number[] = [];
  const entryList: { symbol: string; tasks: number; flags: number; at: number }[] = [];
  const hazards = new Hazards((buffer) => layout.addressOf(buffer));
  for (const call of calls) {
    const { set, kernel } = kernelOf(call);
    const passes = kernel.passes(call.sizes, machine);
    const shared = passes.some(({ tasks }) => tasks > 1) && workOf(call, kernel) >= parallelWork;
    const serial = machine.threads === 1 || !shared;
    const usesScratch = kernel.scratch !== undefined;
    for (const [pass, { symbol, tasks }] of passes.entries()) {
      const barrier = hazards.next(call, serial, usesScratch, pass > 0);
      const flags = (barrier ? BARRIER : 0) | (serial ? SERIAL : 0);
      entryList.push({ symbol, tasks, flags, at: words.length });
      words.push(...argumentsOf(call, set, pass, layout));
    }
  }
  const argumentsAt = layout.program + 4 * entryWords * entryList.length;
  const head = entryList.flatMap(({ symbol, tasks, flags, at }) => {
    const index = indexOf.get(symbol);
    if (index === undefined) throw new Error(`internal: no kernel is called ${symbol}`);
    const grain = Math.max(1, Math.floor(tasks / (machine.threads * 4)));
    return [index, argumentsAt + 4 * at, tasks, grain, flags, 0];
  });
  return {
    words: Int32Array.from([...head, ...words]),
    entries: entryList.length,
    parallel: entryList.some(({ flags }) => !(flags & SERIAL)),
  };
}

function kernelOf(call: Call): { set: KernelSet; kernel: Kernel } {
  const set = kernelSets[call.op.name];
  const kernel = set?.[call.pass];
  if (kernel === undefined) {
    throw new DeviceError(`cpu: has no ${call.pass} kernel for ${call.op.name}. Use the plain device.`);
  }
  return { set, kernel };
}

function workOf(call: Call, kernel: Kernel): number {
  if (kernel.work) return kernel.work(call.sizes);
  const { reads, writes } = accessesOf(call);
  return [...reads, ...writes].reduce((sum, { length }) => sum + length, 0);
}

function argumentCount({ pass, inputs, outputs, op }: Call): number {
  const buffers =
    pass === "forward" ? inputs.length + outputs.length : 2 * (inputs.length + outputs.length) + 1;
  return buffers + 2 + kernelSets[op.name].sizes.length;
}

function argumentsOf(call: Call, set: KernelSet, pass: number, layout: Layout): number[] {
  const address = (buffer: MaybeBuffer) => (buffer === null ? 0 : layout.addressOf(buffer));
  const buffers = [...call.inputs, ...call.outputs, ...call.outputGrads, ...call.inputGrads].map(address);
  const accumulate = call.accumulate.reduce((mask, adds, i) => mask | (adds ? 1 << i : 0), 0);
  const sizes = set.sizes.map((name) => {
    const value = call.sizes[name];
    if (value === undefined) throw new Error(`internal: ${call.op.name} has no size called ${name}`);
    return set.floats?.includes(name) ? floatBits(value) : value;
  });
  return [...buffers, ...(call.pass === "backward" ? [accumulate] : []), layout.scratch, pass, ...sizes];
}

function floatBits(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0];
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Decides which entries must wait for those before them: when one reads or writes memory that another wrote, or
 * overwrites what another read, since the last barrier. The first thread's own serial entries are in order anyway.
 */
class Hazards {
  readonly #addressOf: (buffer: Buffer) => number;
  #since: { reads: Range[]; writes: Range[]; serial: boolean; scratch: boolean }[] = [];

  constructor(addressOf: (buffer: Buffer) => number) {
    this.#addressOf = addressOf;
  }

  next(call: Call, serial: boolean, scratch: boolean, laterPass: boolean): boolean {
    const accesses = accessesOf(call);
    const reads = accesses.reads.map((buffer) => this.#range(buffer));
    const writes = accesses.writes.map((buffer) => this.#range(buffer));
    const conflict = this.#since.some((other) => {
      if (serial && other.serial) return false;
      if (scratch && other.scratch) return true;
      return meet(writes, other.writes) || meet(writes, other.reads) || meet(reads, other.writes);
    });
    const barrier = conflict || (laterPass && !serial);
    if (barrier) this.#since = [];
    this.#since.push({ reads, writes, serial, scratch });
    return barrier;
  }

  #range(buffer: Buffer): Range {
    const start = this.#addressOf(buffer);
    return { start, end: start + bytesOf(buffer) };
  }
}

function meet(a: readonly Range[], b: readonly Range[]): boolean {
  return a.some((x) => b.some((y) => x.start < y.end && y.start < x.end));
}
