import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { planSlots } from "../../../src/backends/webgpu/slots.ts";
import { type Interval, unplannedBytes } from "../../../src/tensor/plan.ts";

const intervals = fc.array(
  fc
    .record({
      length: fc.integer({ min: 1, max: 5000 }),
      first: fc.integer({ min: 0, max: 30 }),
      life: fc.integer({ min: 0, max: 10 }),
    })
    .map(({ length, first, life }): Interval => {
      const buffer = { dtype: "f32" as const, length };
      return { buffer, bytes: Math.ceil((4 * length) / 64) * 64, first, last: first + life };
    }),
  { maxLength: 40 },
);

test("no two buffers that are alive at the same step share memory, and each fits into its own", () => {
  fc.assert(
    fc.property(intervals, (all) => {
      const slots = planSlots(all);
      assert.equal(slots.size, all.length);
      for (const [i, one] of all.entries()) {
        const slot = slots.get(one.buffer)!; // all are placed
        assert.ok(slot.bytes >= one.bytes && slot.tenants.includes(one));
        for (const other of all.slice(i + 1)) {
          const together = one.first <= other.last && other.first <= one.last;
          assert.ok(!together || slots.get(other.buffer) !== slot);
        }
      }
    }),
  );
});

test("the slots take no more than the buffers would, and as little as they must where one follows the other", () => {
  const total = (all: readonly Interval[]) =>
    [...new Set(planSlots(all).values())].reduce((sum, { bytes }) => sum + bytes, 0);
  fc.assert(fc.property(intervals, (all) => assert.ok(total(all) <= unplannedBytes(all))));
  const chain = Array.from({ length: 20 }, (_, i) => ({
    buffer: { dtype: "f32" as const, length: 16 },
    bytes: 64,
    first: i,
    last: i + 1,
  }));
  assert.equal(total(chain), 128);
});
