import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { denseScan, denseScanOp } from "../../src/ops/denseScan.ts";
import { concat, slice } from "../../src/ops/reshape.ts";
import { compareCalls, evaluate, type Input, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const drawn = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  length: fc.integer({ min: 1, max: 20 }),
  channels: fc.integer({ min: 1, max: 3 }),
  N: fc.integer({ min: 1, max: 70 }),
  readouts: fc.integer({ min: 1, max: 3 }),
  state: fc.boolean(),
  seed: fc.nat(1e6),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

/** Ā shrinks what it is given, so that states stay near 1. */
function inputs({ batch, length, channels, N, readouts, state, seed }: Drawn): (Input | null)[] {
  const A = normals(seed, channels, N, N);
  const C = normals(seed + 3, channels, readouts, N);
  return [
    normals(seed + 1, batch, length, channels),
    { ...A, values: Float32Array.from(A.values, (x) => (0.7 * x) / Math.sqrt(N)) },
    normals(seed + 2, channels, N),
    { ...C, values: Float32Array.from(C.values, (x) => x / Math.sqrt(N)) },
    state ? normals(seed + 4, batch, channels, N) : null,
  ];
}

test("one state is a leaky sum", async () => {
  const device = exactDevice();
  const u = device.tensor([1, 0, 2], [1, 3, 1]);
  const [A, B, C] = [
    device.tensor([0.5], [1, 1, 1]),
    device.tensor([3], [1, 1]),
    device.tensor([1, 10], [1, 2, 1]),
  ];
  const { y, state } = denseScan(u, A, B, C, { state: device.tensor([4], [1, 1, 1]) });
  assert.deepEqual(y.shape, [1, 3, 1, 2]);
  assert.deepEqual([...(await y.read())], [5, 50, 2.5, 25, 7.25, 72.5]);
  assert.deepEqual([...(await state.read())], [7.25]);
});

test("two states turn by Ā, row times column", async () => {
  const device = exactDevice();
  const A = device.tensor([0, -1, 1, 0], [1, 2, 2]);
  const [B, C] = [device.tensor([1, 0], [1, 2]), device.tensor([1, 0, 0, 1], [1, 2, 2])];
  const { y } = denseScan(device.tensor([1, 0, 0], [1, 3, 1]), A, B, C);
  assert.deepEqual([...(await y.read())], [1, 0, 0, 1, -1, 0]);
});

test("the gradients are the slopes of the loss, that of the last state among them", async () => {
  const shapes = [
    [2, 4, 2],
    [2, 3, 3],
    [2, 3],
    [2, 2, 3],
    [2, 2, 3],
  ];
  const values = (input: number, i: number) => Math.sin(3 * i + input) / 2;
  const worst = await gradcheck(
    (u, A, B, C, state) => Object.values(denseScan(u, A, B, C, { state })),
    shapes,
    values,
    weigh,
  );
  assert.ok(worst < 1e-8, String(worst));
});

test("every device computes what the plain loops compute, for any sizes", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(drawn, (sizes) => compareCalls(device, denseScanOp, inputs(sizes), null, 5e-5)),
      { numRuns: device.name === "webgpu" ? 8 : 20 },
    );
  }
});

test("a sequence cut anywhere, its state handed on, gives the same bits", async () => {
  for (const device of devices) {
    const given = inputs({ batch: 2, length: 9, channels: 2, N: 21, readouts: 1, state: false, seed: 5 });
    const [u, A, B, C] = given
      .filter((input) => input !== null)
      .map(({ values, shape }) => device.tensor(Float32Array.from(values), shape));
    const whole = denseScan(u, A, B, C);
    for (const cut of [1, 4, 8]) {
      const first = denseScan(slice(u, 1, 0, cut), A, B, C);
      const second = denseScan(slice(u, 1, cut, 9), A, B, C, { state: first.state });
      assert.deepEqual(await concat([first.y, second.y], 1).read(), await whole.y.read(), device.name);
      assert.deepEqual(await second.state.read(), await whole.state.read(), device.name);
    }
  }
});

test("a sequence's bits do not depend on the sequences around it", async () => {
  const given = inputs({ batch: 3, length: 7, channels: 3, N: 33, readouts: 2, state: false, seed: 8 });
  const last = { shape: [1, 7, 3], values: Array.from(given[0]!.values).slice(2 * 21) }; // u is not optional
  for (const device of devices) {
    const all = (await evaluate(device, denseScanOp, given, null)).get("y")!; // an output
    const one = (await evaluate(device, denseScanOp, [last, ...given.slice(1)], null)).get("y")!;
    assert.deepEqual(one, all.slice(-one.length), device.name);
  }
});

test("NaN stays in its sequence and channel", async () => {
  const given = inputs({ batch: 2, length: 3, channels: 2, N: 3, readouts: 1, state: false, seed: 3 });
  (given[0]!.values as Float32Array)[2] = NaN; // sequence 0, time 1, channel 0
  for (const device of devices) {
    const y = (await evaluate(device, denseScanOp, given, null)).get("y")!;
    assert.deepEqual(
      Array.from(y, (x) => (Number.isNaN(x) ? 1 : 0)),
      [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0],
      device.name,
    );
  }
});

test("shapes that do not fit are refused", () => {
  const device = exactDevice();
  const zeros = (...shape: number[]) => device.zeros(shape);
  const refuses = (call: () => unknown, message: string) =>
    assert.throws(call, { name: "ShapeError", message });
  refuses(
    () => denseScan(zeros(1, 2, 3), zeros(3, 4, 5), zeros(3, 4), zeros(3, 1, 4)),
    "denseScan: Abar must be (channels, N, N again) = (3, 4, 4), got (3, 4, 5)",
  );
  refuses(
    () => denseScan(zeros(1, 2, 3), zeros(3, 4, 4), zeros(3, 4), zeros(3, 4)),
    "denseScan: C must be (channels, readouts, N), got (3, 4)",
  );
  refuses(
    () => denseScan(zeros(1, 0, 3), zeros(3, 4, 4), zeros(3, 4), zeros(3, 1, 4)),
    "denseScan: length must be at least 1, got 0",
  );
});
