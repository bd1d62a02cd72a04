import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addOp } from "../../src/ops/arithmetic.ts";
import { type Buffer, bytesOf, type Call } from "../../src/tensor/backend.ts";
import { lifetimes, planMemory, unplannedBytes } from "../../src/tensor/plan.ts";

/** Programs of up to 30 calls on up to 20 planned buffers, each call reading two and writing one. */
const programs = fc
  .array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })
  .chain((lengths) =>
    fc.record({
      buffers: fc.constant(lengths.map((length): Buffer => ({ dtype: "f32", length }))),
      triples: fc.array(fc.tuple(...[0, 1, 2].map(() => fc.nat({ max: lengths.length - 1 }))), {
        minLength: 1,
        maxLength: 30,
      }),
    }),
  )
  .map(({ buffers, triples }) => ({
    buffers,
    calls: triples.map(([a, b, y]) => call(buffers[a], buffers[b], buffers[y])),
  }));

function call(a: Buffer, b: Buffer, y: Buffer): Call {
  return {
    op: addOp,
    pass: "forward",
    sizes: {},
    inputs: [a, b],
    outputs: [y],
    outputGrads: [],
    inputGrads: [],
    accumulate: [],
  };
}

/** For each call the buffers that are needed then: some call up to it and some call from it on touch them. */
function aliveAt(calls: readonly Call[], buffers: readonly Buffer[]): Buffer[][] {
  const touches =
    (buffer: Buffer) =>
    ({ inputs, outputs }: Call) =>
      [...inputs, ...outputs].includes(buffer);
  return calls.map((_, i) =>
    buffers.filter(
      (buffer) => calls.slice(0, i + 1).some(touches(buffer)) && calls.slice(i).some(touches(buffer)),
    ),
  );
}

test("no two buffers alive at the same call overlap, and all lie inside the arena on whole cache lines", () => {
  fc.assert(
    fc.property(programs, ({ buffers, calls }) => {
      const { offsets, bytes } = planMemory(calls, new Set(buffers));
      for (const alive of aliveAt(calls, buffers)) {
        const ranges = alive
          .map((buffer) => ({ start: offsets.get(buffer)!, end: offsets.get(buffer)! + bytesOf(buffer) })) // they are used
          .sort((a, b) => a.start - b.start);
        for (const [i, { start, end }] of ranges.entries()) {
          assert.equal(start % 64, 0);
          assert.ok(start >= 0 && end <= bytes);
          if (i > 0) assert.ok(ranges[i - 1].end <= start, "two buffers overlap");
        }
      }
    }),
    { numRuns: 500 },
  );
});

test("the arena is at least what the hungriest call needs and at most all buffers together", () => {
  fc.assert(
    fc.property(programs, ({ buffers, calls }) => {
      const { bytes } = planMemory(calls, new Set(buffers));
      const needs = aliveAt(calls, buffers).map((alive) =>
        alive.reduce((sum, buffer) => sum + bytesOf(buffer), 0),
      );
      assert.ok(Math.max(...needs) <= bytes && bytes <= unplannedBytes(lifetimes(calls, new Set(buffers))));
    }),
  );
});

test("a chain needs two buffers however long it is", () => {
  const buffers = Array.from({ length: 100 }, (): Buffer => ({ dtype: "f32", length: 16 }));
  const calls = buffers.slice(1).map((y, i) => call(buffers[i], buffers[i], y));
  const { bytes } = planMemory(calls, new Set(buffers));
  assert.equal(bytes, 2 * 64);
  assert.equal(unplannedBytes(lifetimes(calls, new Set(buffers))), 100 * 64);
});

test("buffers that are not planned, or that no call touches, get no place", () => {
  const [outside, planned, unused] = [1, 2, 3].map((length): Buffer => ({ dtype: "f32", length }));
  const { offsets } = planMemory([call(outside, outside, planned)], new Set([planned, unused]));
  assert.deepEqual([...offsets.keys()], [planned]);
});

test("an accumulated gradient is alive before the call that adds to it, an overwritten one is not", () => {
  const [du, dy, other] = [16, 16, 16].map((length): Buffer => ({ dtype: "f32", length }));
  const write = call(du, du, other);
  const backward = (accumulate: boolean): Call => ({
    ...call(dy, dy, dy),
    pass: "backward",
    outputGrads: [dy],
    inputGrads: [du, null],
    accumulate: [accumulate, false],
  });
  const disjoint = ({ offsets }: ReturnType<typeof planMemory>) => offsets.get(du) !== offsets.get(dy);
  assert.ok(disjoint(planMemory([write, backward(true)], new Set([du, dy, other]))));
  assert.equal(planMemory([write], new Set([du, other])).bytes, 128);
});
