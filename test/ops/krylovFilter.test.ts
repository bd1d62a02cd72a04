import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { gbt } from "../../src/math/discretize.ts";
import { naiveFilter } from "../../src/math/filter.ts";
import { fftConv } from "../../src/ops/fftConv.ts";
import { denseScan } from "../../src/ops/denseScan.ts";
import { discretize } from "../../src/ops/discretize.ts";
import { krylovFilter } from "../../src/ops/krylovFilter.ts";
import { capture } from "../../src/tensor/capture.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import { normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

test("the filter is C Āˡ B̄, for any sizes", async () => {
  const device = exactDevice();
  const drawn = fc.record({
    channels: fc.integer({ min: 1, max: 3 }),
    N: fc.integer({ min: 1, max: 6 }),
    length: fc.integer({ min: 1, max: 12 }),
    seed: fc.nat(1e6),
  });
  await fc.assert(
    fc.asyncProperty(drawn, async ({ channels, N, length, seed }) => {
      const [A, B, C] = [normals(seed, 1, N, N), normals(seed + 1, 1, N), normals(seed + 2, channels, N)].map(
        ({ values, shape }) =>
          device.tensor(
            Float64Array.from(values, (x) => x / 2),
            shape,
          ),
      );
      const delta = Float64Array.from({ length: channels }, (_, c) => 0.1 + 0.1 * c);
      const K = await krylovFilter(A, B, C, device.tensor(delta), { length }).read();
      const [a, b, rows] = [await A.read(), await B.read(), await C.read()].map((x) => Float64Array.from(x));
      for (let c = 0; c < channels; c++) {
        const { Abar, Bbar } = gbt(a, b, delta[c], 0.5);
        const expected = naiveFilter(Abar, Bbar, rows.slice(c * N, (c + 1) * N), length);
        expected.forEach((k, l) =>
          assert.ok(Math.abs(K[c * length + l] - k) <= 1e-11 * Math.max(1, Math.abs(k))),
        );
      }
    }),
    { numRuns: 30 },
  );
});

test("A, B, C and Δ are trained through it: the gradients are the slopes of the loss", async () => {
  const values = (input: number, i: number) => (input === 3 ? 0.2 + 0.1 * i : Math.sin(3 * i + input) / 2);
  const worst = await gradcheck(
    (A, B, C, delta) => krylovFilter(A, B, C, delta, { length: 5 }),
    [[1, 3, 3], [1, 3], [2, 2, 3], [2]],
    values,
    weigh,
  );
  assert.ok(worst < 1e-8, String(worst));
});

test("recurrence = convolution, on every device", async () => {
  const [batch, length, channels, N] = [2, 50, 3, 16];
  for (const device of devices) {
    const tensor = (seed: number, scale: number, ...shape: number[]) =>
      device.tensor(
        Float32Array.from(normals(seed, ...shape).values, (x) => scale * x),
        shape,
      );
    const u = tensor(1, 1, batch, length, channels);
    const [A, B, C] = [tensor(2, 0.2, 1, N, N), tensor(3, 1, 1, N), tensor(4, 0.3, channels, N)];
    const delta = device.tensor([0.1, 0.2, 0.4]);
    const convolved = await fftConv(u, krylovFilter(A, B, C, delta, { length })).read();
    const { Abar, Bbar } = discretize(A, B, delta);
    const { y } = denseScan(u, Abar, Bbar, reshape(C, [channels, 1, N]));
    const scanned = await y.read();
    const largest = Math.max(...Array.from(scanned, Math.abs));
    scanned.forEach((x, i) =>
      assert.ok(Math.abs(x - convolved[i]) < 1e-5 * largest, `${device.name}: ${x} ${convolved[i]}`),
    );
  }
});

test("it can be captured, and a length that is none is refused", async () => {
  const device = exactDevice();
  const [A, B, C] = [device.tensor([-1], [1, 1, 1]), device.tensor([2], [1, 1]), device.tensor([3], [1, 1])];
  const delta = device.tensor([0.5]);
  const program = capture(device, () => krylovFilter(A, B, C, delta, { length: 2, discretization: "euler" }));
  program.run();
  assert.deepEqual([...(await program.result.read())], [3, 1.5]);
  assert.throws(() => krylovFilter(A, B, C, delta, { length: 0 }), {
    name: "UsageError",
    message: "krylovFilter: length must be a whole number of at least 1, got 0.",
  });
});
