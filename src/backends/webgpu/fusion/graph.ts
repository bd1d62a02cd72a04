import type { Buffer, Call } from "../../../tensor/backend.ts";

/** The buffers that a call reads, and those that it writes. */
export type Accesses = (call: Call) => {
  readonly reads: readonly Buffer[];
  readonly writes: readonly Buffer[];
};

/** Some calls of a program that one call does the work of, in the place of one of them. */
export interface Fusion {
  readonly parts: readonly Call[];
  readonly fused: Call;
  /** The part in whose place it stands. */
  readonly at: Call;
  /** A buffer that the program did not have, through which two fused calls speak. */
  readonly makes?: Buffer;
}

/** Who writes and who reads the buffers of a program. */
export class Graph {
  readonly calls: readonly Call[];
  readonly #planned: ReadonlySet<Buffer>;
  readonly #accesses: Accesses;
  readonly #index: ReadonlyMap<Call, number>;
  readonly #writers = new Map<Buffer, Call[]>();
  readonly #readers = new Map<Buffer, Call[]>();

  constructor(calls: readonly Call[], planned: ReadonlySet<Buffer>, accesses: Accesses) {
    this.calls = calls;
    this.#planned = planned;
    this.#accesses = accesses;
    this.#index = new Map(calls.map((call, i) => [call, i]));
    const note = (map: Map<Buffer, Call[]>, buffer: Buffer, call: Call) => {
      const list = map.get(buffer);
      if (!list) map.set(buffer, [call]);
      else if (list.at(-1) !== call) list.push(call);
    };
    for (const call of calls) {
      const { reads, writes } = accesses(call);
      for (const buffer of reads) note(this.#readers, buffer, call);
      for (const buffer of writes) note(this.#writers, buffer, call);
    }
  }

  /** The call that alone computes the buffer, if it is one that lives inside the program only. */
  producer(buffer: Buffer | null | undefined): Call | null {
    if (!buffer || !this.#planned.has(buffer)) return null;
    const writers = this.#writers.get(buffer) ?? [];
    return writers.length === 1 ? writers[0] : null;
  }

  /** The calls that read the buffer. */
  readers(buffer: Buffer): readonly Call[] {
    return this.#readers.get(buffer) ?? [];
  }

  /** The forward call of this name that computes the buffer for `reader` alone, so that the buffer need not exist. */
  sole(buffer: Buffer | null | undefined, reader: Call | readonly Call[], name: string): Call | null {
    const producer = this.producer(buffer);
    if (producer === null || producer.op.name !== name || producer.pass !== "forward") return null;
    const allowed: readonly Call[] = Array.isArray(reader) ? reader : [reader as Call];
    return this.readers(buffer!).every((call) => allowed.includes(call)) ? producer : null; // it has a producer
  }

  /** Whether no call from one on to another writes the buffer: then what reads it at the second may read it at the first. */
  unchanged(buffer: Buffer, from: Call, to: Call): boolean {
    const between = this.calls.slice(this.#index.get(from)!, this.#index.get(to)! + 1); // calls of the program
    return between.every((call) => !this.#accesses(call).writes.includes(buffer));
  }

  /**
   * Whether the parts may all run where `at` stands: nothing between touches what a moved part writes, or writes what it
   * reads.
   */
  mayMove({ parts, at }: Fusion): boolean {
    const place = this.#index.get(at)!; // the parts are calls of the program
    const inside = new Set(parts);
    return parts.every((part) => {
      const from = this.#index.get(part)!;
      const between = this.calls.slice(Math.min(from, place), Math.max(from, place) + 1);
      const own = this.#accesses(part);
      return between.every((other) => {
        if (inside.has(other)) return true;
        const { reads, writes } = this.#accesses(other);
        return !(
          own.writes.some((buffer) => reads.includes(buffer) || writes.includes(buffer)) ||
          own.reads.some((buffer) => writes.includes(buffer))
        );
      });
    });
  }
}
