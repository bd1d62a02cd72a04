import { accessesOf, type Buffer, bytesOf, type Call } from "./backend.ts";

/** A cache line, and the widest vector of any CPU kernel. */
const alignment = 64;

interface Interval {
  readonly buffer: Buffer;
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
): { offsets: Map<Buffer, number>; bytes: number; unplannedBytes: number } {
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
    unplannedBytes: intervals.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** From the first call that touches a buffer to the last. */
function lifetimes(calls: readonly Call[], planned: ReadonlySet<Buffer>): Interval[] {
  const intervals = new Map<Buffer, Interval>();
  for (const [i, call] of calls.entries()) {
    const { reads, writes } = accessesOf(call);
    for (const buffer of [...reads, ...writes]) {
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
