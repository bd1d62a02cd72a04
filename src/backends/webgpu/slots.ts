import type { Buffer } from "../../tensor/backend.ts";
import type { Interval } from "../../tensor/plan.ts";

/** Memory that several buffers of a program have, one after the other. */
export interface Slot {
  readonly bytes: number;
  readonly tenants: readonly Interval[];
}

/**
 * Gives planned buffers memory so that no two that are alive at the same step share it. WebGPU refuses a pass that
 * reads one part of a buffer and writes another, so there is no arena but a number of slots: largest buffer first, each
 * into the smallest slot that is free during its whole life (shared objects, greedy by size: Pisarchyk & Lee 2020,
 * section 4.3).
 */
export function planSlots(intervals: readonly Interval[]): Map<Buffer, Slot> {
  const slots: { bytes: number; tenants: Interval[] }[] = []; // descending by size, as they are made
  const placed = new Map<Buffer, Slot>();
  for (const interval of [...intervals].sort((a, b) => b.bytes - a.bytes)) {
    const free = slots.findLast(({ tenants }) =>
      tenants.every(({ first, last }) => last < interval.first || first > interval.last),
    );
    const slot = free ?? { bytes: interval.bytes, tenants: [] };
    if (!free) slots.push(slot);
    slot.tenants.push(interval);
    placed.set(interval.buffer, slot);
  }
  return placed;
}
