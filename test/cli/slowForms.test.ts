import assert from "node:assert/strict";
import { test } from "node:test";
import { uniform } from "../../src/cli/bench/inputs.ts";
import { naiveScan } from "../../src/cli/reproduce/naiveScan.ts";
import { powersFilter } from "../../src/cli/reproduce/powersFilter.ts";
import { gradients, krylovFilter, legS, plainDevice, selectiveScan, type Tensor } from "../../src/node.ts";

/** Demands the same values, and the same gradients of every input, of both functions. */
async function assertSame(inputs: readonly Tensor[], slow: () => Tensor, fast: () => Tensor): Promise<void> {
  const [a, b] = [slow, fast].map((fn) => gradients(inputs, fn));
  const pairs = [[a.value, b.value], ...inputs.map((x) => [a.gradients.get(x)!, b.gradients.get(x)!])]; // all have one
  for (const [own, other] of pairs) {
    const expected = await other.read();
    const scale = Math.max(1, ...Array.from(expected, Math.abs));
    for (const [i, value] of (await own.read()).entries())
      assert.ok(Math.abs(value - expected[i]) < 1e-11 * scale);
  }
}

test("the naive scan and its gradients are those of the fused one", async () => {
  const device = plainDevice("f64");
  for (const length of [2, 16]) {
    const u = uniform(device, [1, length, 3]);
    const delta = uniform(device, [1, length, 3], 0.001, 0.1);
    const A = uniform(device, [2, 3], -16, -1);
    const B = uniform(device, [1, length, 2]);
    const C = uniform(device, [1, length, 2], 0, 1);
    await assertSame(
      [u, delta, A, B, C],
      () => naiveScan(u, delta, A, B, C),
      () => selectiveScan(u, delta, A, B, C).y,
    );
  }
});

test("the filter by powers and its gradients are those of the one by recurrence", async () => {
  const device = plainDevice("f64");
  const system = legS(4);
  const A = device.tensor(system.A, [1, 4, 4]);
  const B = device.tensor(system.B, [1, 4]);
  const C = uniform(device, [3, 4]);
  const delta = uniform(device, [3], 0.001, 0.1);
  for (const length of [2, 16]) {
    await assertSame(
      [A, B, C, delta],
      () => powersFilter(A, B, C, delta, length),
      () => krylovFilter(A, B, C, delta, { length }),
    );
  }
});
