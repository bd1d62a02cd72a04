import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SharedHeap } from "../../../src/backends/cpu/memory.ts";

const pageBytes = 65536;
const heapOf = (initial: number, maximum: number, firstFree = 0) =>
  new SharedHeap(new WebAssembly.Memory({ initial, maximum, shared: true }), firstFree);

/** What a program may do: allocate so many bytes, or free the n-th of what is allocated. */
const actions = fc.array(
  fc.oneof(fc.record({ bytes: fc.integer({ min: 0, max: 20_000 }) }), fc.record({ free: fc.nat() })),
  { maxLength: 120 },
);

test("what is allocated never overlaps, lies on whole cache lines above firstFree and inside the memory", () => {
  fc.assert(
    fc.property(actions, fc.integer({ min: 1, max: 5000 }), (list, firstFree) => {
      const heap = heapOf(1, 1024, firstFree);
      const live: { start: number; end: number }[] = [];
      for (const action of list) {
        if ("free" in action) {
          if (live.length > 0) heap.free(live.splice(action.free % live.length, 1)[0].start);
          continue;
        }
        const start = heap.allocate(action.bytes);
        const end = start + action.bytes;
        assert.equal(start % 64, 0);
        assert.ok(start >= firstFree && end <= heap.memory.buffer.byteLength);
        assert.ok(
          live.every((other) => end <= other.start || other.end <= start),
          "two overlap",
        );
        live.push({ start, end });
      }
    }),
    { numRuns: 300 },
  );
});

test("once all is freed there is one gap again, whatever the order was", () => {
  fc.assert(
    fc.property(actions, fc.infiniteStream(fc.nat()), (list, order) => {
      const heap = heapOf(1, 1024, 64);
      const live: number[] = [];
      for (const action of list) {
        if ("bytes" in action) live.push(heap.allocate(action.bytes));
        else if (live.length > 0) heap.free(live.splice(action.free % live.length, 1)[0]);
      }
      while (live.length > 0) heap.free(live.splice(order.next().value % live.length, 1)[0]);
      assert.equal(heap.used(), 0);
      const size = heap.memory.buffer.byteLength;
      assert.equal(heap.allocate(size - 64), 64); // only a single gap holds it
      assert.equal(heap.memory.buffer.byteLength, size, "it grew");
    }),
    { numRuns: 300 },
  );
});

test("used() counts whole cache lines, and 0 is never an address", () => {
  const heap = heapOf(1, 2);
  const address = heap.allocate(0);
  assert.equal(heap.used(), 64);
  heap.allocate(65);
  assert.equal(heap.used(), 64 + 128);
  heap.free(address);
  assert.equal(heap.used(), 128);
  assert.notEqual(address, 0);
});

test("memory grows when it must, and says how much is in use when it cannot", () => {
  const heap = heapOf(1, 4, 64);
  const first = heap.allocate(pageBytes / 2);
  const second = heap.allocate(pageBytes);
  assert.ok(heap.memory.buffer.byteLength >= first + pageBytes / 2 + pageBytes);
  const before = heap.used();
  assert.throws(() => heap.allocate(8 * pageBytes), {
    name: "DeviceError",
    message:
      "cpu: needs 1 MiB more beside 1 MiB in use, and the memory of a CPU device ends at 4096 MiB. " +
      "Use a smaller batch, length or model.",
  });
  assert.equal(heap.used(), before);
  heap.free(second);
  assert.equal(heap.allocate(64) > 0, true);
});

test("freeing what is not allocated is our own bug", () => {
  const heap = heapOf(1, 1);
  const address = heap.allocate(10);
  heap.free(address);
  const message = `internal: free(${address}), which is not allocated`;
  assert.throws(() => heap.free(address), { message });
});
