import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { dropout, dropoutOp } from "../../src/ops/dropout.ts";
import { capture } from "../../src/tensor/capture.ts";
import { compareCalls, evaluate, normals } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { assertFits } from "../fits.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const seedOf = (a: number, b: number) => ({ shape: [2], values: Int32Array.of(a, b), integer: true });
const ones = (size: number) => ({ shape: [size], values: new Float32Array(size).fill(1) });

/** Which of `size` elements stay. */
async function mask(size: number, a: number, b: number, rate: number): Promise<boolean[]> {
  const found = await evaluate(exactDevice(), dropoutOp, [ones(size), seedOf(a, b)], { rate });
  return Array.from(found.get("y")!, (y) => y !== 0);
}

test("what stays is scaled by 1 / (1 − rate), and so is its gradient", async () => {
  const found = await evaluate(exactDevice(), dropoutOp, [ones(100), seedOf(1, 2)], { rate: 0.75 });
  const y = found.get("y")!;
  const kept = y.filter((value: number) => value !== 0);
  assert.ok(kept.length > 0 && kept.length < 100);
  assert.deepEqual(new Set(kept), new Set([4]));
  const c = Float32Array.from({ length: 100 }, (_, i) => Math.cos(i));
  assert.deepEqual(
    [...found.get("gradient of u")!],
    [...c].map((cos, i) => (y[i] === 0 ? 0 : 4 * cos)),
  );
});

test("every device has the same mask, for any seed, rate and size", async () => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const rate = fc.double({ min: 0.01, max: 0.99, noNaN: true });
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(word, word, rate, fc.integer({ min: 1, max: 9000 }), (a, b, rate, size) =>
        compareCalls(device, dropoutOp, [normals(1, size), seedOf(a, b)], { rate }),
      ),
      { numRuns: 15 },
    );
  }
});

test("elements are dropped at the rate, and pairs of neighbours, seeds or words independently", async () => {
  const size = 100_000;
  const rate = 0.3;
  const base = await mask(size + 1, 5, 6, rate);
  const others = {
    neighbour: base.slice(1),
    "next first word": await mask(size, 6, 6, rate),
    "next second word": await mask(size, 5, 7, rate),
    "words swapped": await mask(size, 6, 5, rate),
  };
  for (const other of Object.values(others)) {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < size; i++) counts[2 * Number(base[i]) + Number(other[i])]++;
    assertFits(counts, [rate * rate, rate * (1 - rate), rate * (1 - rate), (1 - rate) ** 2]);
  }
});

test("a captured program draws a new mask when its seed is written", async () => {
  for (const device of devices) {
    const u = device.tensor(ones(200).values);
    const seed = device.integers([1, 1]);
    const program = capture(device, () => dropout(u, seed, 0.5));
    const masks: string[] = [];
    for (const step of [1, 2, 1]) {
      seed.write([1, step]);
      program.run();
      masks.push((await program.result.read()).join());
    }
    assert.notEqual(masks[0], masks[1], device.name);
    assert.equal(masks[0], masks[2], device.name);
  }
});

test("NaN stays where it is kept and is 0 where it is dropped", async () => {
  const u = { shape: [50], values: new Float32Array(50).fill(NaN) };
  const kept = await mask(50, 1, 2, 0.5);
  for (const device of devices) {
    const y = (await evaluate(device, dropoutOp, [u, seedOf(1, 2)], { rate: 0.5 })).get("y")!;
    assert.deepEqual(
      [...y],
      kept.map((k) => (k ? NaN : 0)),
      device.name,
    );
  }
});

test("rate 0 is the tensor itself, and a rate outside [0, 1) or a seed of another size is refused", () => {
  const device = exactDevice();
  const u = device.zeros([3]);
  const seed = device.integers([1, 2]);
  assert.equal(dropout(u, seed, 0), u);
  for (const rate of [1, -0.1, NaN]) {
    assert.throws(() => dropout(u, seed, rate), {
      name: "UsageError",
      message: `dropout: rate must be at least 0 and less than 1, got ${rate}.`,
    });
  }
  assert.throws(() => dropout(u, device.integers([1]), 0.5), {
    name: "ShapeError",
    message: "dropout: seed must be (words) = (2), got (1)",
  });
});
