import { accessesOf, type Buffer, bytesOf, type Call } from "./backend.ts";

/** A cache line, and the widest vector of any CPU kernel. */
const alignment = 64;

/** The calls between which a buffer must keep its numbers. */
export interface Interval {
  readonly buffer: Buffer;
  /** Rounded up to the alignment. */
  readonly bytes: number;
  readonly first: number;
  last: number;
}

/**
 * Places each planned buffer in one arena so that no two that are alive at the same call overlap. Largest first, each
 * at the lowest offset that is free during its whole life (greedy by size: Pisarchyk & Lee 2020, section 5.2).
 */
export function planMemory(
  calls: readonly Call[],
  planned: ReadonlySet<Buffer>,
): { offsets: Map<Buffer, number>; bytes: number } {
  const intervals = lifetimes(calls, planned);
  const bySize = [...intervals].sort((a, b) => b.bytes - a.bytes);
  const placed: { interval: Interval; offset: number }[] = []; // ascending by offset
  let total = 0;
  for (const interval of bySize) {
    let offset = 0;
    for (const other of placed) {
      if (other.interval.last < interval.first || other.interval.first > interval.last) continue;
      if (other.offset - offset >= interval.bytes) break;
      offset = Math.max(offset, other.offset + other.interval.bytes);
    }
    const at = placed.findIndex((other) => other.offset > offset);
    placed.splice(at < 0 ? placed.length : at, 0, { interval, offset });
    total = Math.max(total, offset + interval.bytes);
  }
  return {
    offsets: new Map(placed.map(({ interval, offset }) => [interval.buffer, offset])),
    bytes: total,
  };
}

/** What the buffers would take if none were given the memory of another. */
export function unplannedBytes(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** From the first call that touches a buffer to the last. */
export function lifetimes(calls: readonly Call[], planned: ReadonlySet<Buffer>): Interval[] {
  return intervalsOf(
    calls.map((call) => {
      const { reads, writes } = accessesOf(call);
      return [...reads, ...writes];
    }),
    planned,
  );
}

/** From the first of some steps that touches a buffer to the last: `touched` are the buffers of each. */
export function intervalsOf(
  touched: readonly (readonly Buffer[])[],
  planned: ReadonlySet<Buffer>,
): Interval[] {
  const intervals = new Map<Buffer, Interval>();
  for (const [i, buffers] of touched.entries()) {
    for (const buffer of buffers) {
      if (!planned.has(buffer)) continue;
      const known = intervals.get(buffer);
      if (known) known.last = i;
      else {
        const bytes = Math.ceil(bytesOf(buffer) / alignment) * alignment;
        intervals.set(buffer, { buffer, bytes, first: i, last: i });
      }
    }
  }
  return [...intervals.values()];
}
