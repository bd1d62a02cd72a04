import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { gbt } from "../../src/math/discretize.ts";
import { legS } from "../../src/math/hippo.ts";
import { discretize, discretizeOp } from "../../src/ops/discretize.ts";
import { compareCalls, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const alphas = [0, 0.5, 1];

/** Sizes of a call: `each` channels share each A. */
const sizes = fc.record({
  ssms: fc.integer({ min: 1, max: 3 }),
  each: fc.integer({ min: 1, max: 3 }),
  N: fc.integer({ min: 1, max: 40 }),
  alpha: fc.constantFrom(...alphas),
  seed: fc.nat(1e6),
});

/** A, B, Δ: entries of A of the size at which I − αΔA is far from singular. */
function inputs({ ssms, each, N, seed }: { ssms: number; each: number; N: number; seed: number }) {
  const A = normals(seed, ssms, N, N);
  const delta = normals(seed + 2, ssms * each);
  return [
    { ...A, values: Float32Array.from(A.values, (x) => x / (2 * Math.sqrt(N))) },
    normals(seed + 1, ssms, N),
    { ...delta, values: Float32Array.from(delta.values, (x) => 0.2 / (1 + x * x)) },
  ];
}

test("each rule is that of math/discretize.ts, and channel c has the A of ⌊c ssms / channels⌋", async () => {
  const device = exactDevice();
  const systems = [legS(2), { A: Float64Array.of(-1, 2, 0, -3), B: Float64Array.of(1, -1) }];
  const A = device.tensor([...systems[0].A, ...systems[1].A], [2, 2, 2]);
  const B = device.tensor([...systems[0].B, ...systems[1].B], [2, 2]);
  const steps = [0.1, 0.2, 0.3, 0.4];
  for (const [rule, alpha] of [
    ["euler", 0],
    ["bilinear", 0.5],
    ["backwardEuler", 1],
  ] as const) {
    const { Abar, Bbar } = discretize(A, B, device.tensor(steps), rule);
    assert.deepEqual(
      [Abar.shape, Bbar.shape],
      [
        [4, 2, 2],
        [4, 2],
      ],
    );
    const [a, b] = [await Abar.read(), await Bbar.read()];
    for (const [c, step] of steps.entries()) {
      const expected = gbt(systems[c >> 1].A, systems[c >> 1].B, step, alpha);
      expected.Abar.forEach((x, i) => assert.ok(Math.abs(a[4 * c + i] - x) < 1e-14));
      expected.Bbar.forEach((x, i) => assert.ok(Math.abs(b[2 * c + i] - x) < 1e-14));
    }
  }
});

test("the gradients are the slopes of the loss, under every rule", async () => {
  const values = (input: number, i: number) => (input === 2 ? 0.2 + 0.1 * i : Math.sin(3 * i + input) / 2);
  for (const rule of ["euler", "bilinear", "backwardEuler"] as const) {
    const fn = (...[A, B, delta]: Parameters<typeof discretize>) =>
      Object.values(discretize(A, B, delta, rule));
    const worst = await gradcheck((A, B, delta) => fn(A, B, delta), [[2, 3, 3], [2, 3], [4]], values, weigh);
    assert.ok(worst < 1e-8, `${rule}: ${worst}`);
  }
});

test("every device computes what the plain loops compute, for any number of states, channels and systems", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(sizes, (drawn) =>
        compareCalls(device, discretizeOp, inputs(drawn), { alpha: drawn.alpha }, 5e-5),
      ),
      { numRuns: device.name === "webgpu" ? 8 : 20 },
    );
  }
});

test("a HiPPO matrix of 256 states comes out to float32, as elimination runs in double", async () => {
  const { A, B } = legS(256);
  const given = [
    { shape: [1, 256, 256], values: A },
    { shape: [1, 256], values: B },
    { shape: [1], values: [0.1] },
  ];
  const { Abar } = gbt(
    Float64Array.from(A, Math.fround),
    Float64Array.from(B, Math.fround),
    Math.fround(0.1),
    0.5,
  );
  for (const device of devices) {
    const [a, b, delta] = given.map(({ shape, values }) => device.tensor(Float32Array.from(values), shape));
    const found = await discretize(a, b, delta).Abar.read();
    Abar.forEach((x, i) => assert.ok(Math.abs(found[i] - x) < 1e-6 * Math.max(1, Math.abs(x)), device.name));
  }
});

test("shapes that do not fit are refused", () => {
  const device = exactDevice();
  const [A, B] = [device.zeros([2, 3, 3]), device.zeros([2, 3])];
  const refuses = (call: () => unknown, message: string) =>
    assert.throws(call, { name: "ShapeError", message });
  refuses(
    () => discretize(device.zeros([2, 3, 4]), B, device.zeros([2])),
    "discretize: A must be (ssms, N, N again) = (2, 3, 3), got (2, 3, 4)",
  );
  refuses(
    () => discretize(A, B, device.zeros([3])),
    "discretize: the ssms of A must divide channels = 3, got 2",
  );
});
