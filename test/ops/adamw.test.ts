import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { adamw, adamwOp, adamwSchedule } from "../../src/ops/adamw.ts";
import { capture } from "../../src/tensor/capture.ts";
import { compareCalls, evaluate, normals } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));
const options = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };

const squares = (seed: number, ...shape: number[]) => {
  const { values } = normals(seed, ...shape);
  return { shape, values: Array.from(values, (x) => x * x) };
};
const step = (size: number, clip: number | null) => [
  ...[1, 2, 3].map((seed) => normals(seed, size)),
  squares(4, size),
  { shape: [3], values: [0.01, 2, 1.5] },
  clip === null ? null : { shape: [1], values: [clip] },
];

test("the first step moves each weight by the learning rate against its gradient's sign, after the decay", async () => {
  const device = exactDevice();
  const [p, gradient] = [device.tensor([1, 1]), device.tensor([1e-3, -50])];
  const [m, v] = [device.zeros([2]), device.zeros([2])];
  const schedule = device.tensor(adamwSchedule(0.1, 1, options));
  adamw(p, gradient, m, v, schedule, null, { ...options, epsilon: 0, weightDecay: 0.5 });
  const [a, b] = await p.read();
  assert.ok(Math.abs(a - 0.85) < 1e-12 && Math.abs(b - 1.05) < 1e-12, `${a}, ${b}`);
  assert.ok(Math.abs((await m.read())[1] + 5) < 1e-12);
  assert.ok(Math.abs((await v.read())[1] - 125) < 1e-9);
});

test("the schedule undoes the moments' start at zero", () => {
  assert.deepEqual(adamwSchedule(0.1, 1, { beta1: 0.75, beta2: 0.75 }), [0.1, 4, 2]);
  const [rate, s1, s2] = adamwSchedule(0.1, 1e6, options);
  assert.deepEqual([rate, s1, s2], [0.1, 1, 1]);
});

test("the update is that of the formula written out, over ten steps with clipping", async () => {
  const device = exactDevice();
  const [p, gradient] = [device.tensor([0.5]), device.zeros([1])];
  const [m, v, schedule] = [device.zeros([1]), device.zeros([1]), device.zeros([3])];
  const clip = device.tensor([0.25]);
  let [expected, first, second] = [0.5, 0, 0];
  for (let t = 1; t <= 10; t++) {
    const g = Math.sin(t);
    gradient.write([g]);
    schedule.write(adamwSchedule(0.01 * t, t, options));
    adamw(p, gradient, m, v, schedule, clip, options);
    expected *= 1 - 0.01 * t * 0.1;
    first = 0.9 * first + 0.1 * 0.25 * g;
    second = 0.95 * second + 0.05 * (0.25 * g) ** 2;
    const denominator = Math.sqrt(second) / Math.sqrt(1 - 0.95 ** t) + 1e-8;
    expected -= (0.01 * t * (first / (1 - 0.9 ** t))) / denominator;
    assert.ok(Math.abs((await p.item()) - expected) < 1e-13, `step ${t}`);
  }
});

test("every device computes what the plain loops compute, at any size, clipped or not", async () => {
  for (const device of devices) {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 9000 }), fc.constantFrom(null, 0.5), (size, clip) =>
        compareCalls(device, adamwOp, step(size, clip), options),
      ),
      { numRuns: 15 },
    );
  }
});

test("a captured update is replayed after its schedule is written", async () => {
  for (const device of devices) {
    const [p, gradient] = [device.tensor([1]), device.tensor([1])];
    const [m, v, schedule] = [device.zeros([1]), device.zeros([1]), device.zeros([3])];
    const program = capture(device, () =>
      adamw(p, gradient, m, v, schedule, null, { ...options, weightDecay: 0 }),
    );
    assert.equal(await p.item(), 1, device.name);
    for (const t of [1, 2, 3]) {
      schedule.write(adamwSchedule(0.125, t, options));
      program.run();
      assert.ok(Math.abs((await p.item()) - (1 - 0.125 * t)) < 1e-6, device.name);
    }
  }
});

test("a NaN gradient, or a NaN clip factor, reaches the parameter", async () => {
  for (const device of devices) {
    const bad = step(5, 0.5);
    bad[1] = { shape: [5], values: [1, NaN, 1, 1, 1] };
    const found = await evaluate(device, adamwOp, bad, options);
    assert.deepEqual([...found.get("parameter")!].map(Number.isNaN), [false, true, false, false, false]);
    const clipped = await evaluate(device, adamwOp, step(5, NaN), options);
    assert.deepEqual([...clipped.get("parameter")!], Array(5).fill(NaN), device.name);
  }
});

test("tensors that do not fit the parameter are refused by name", () => {
  const device = exactDevice();
  const [p, other, schedule] = [device.zeros([2, 3]), device.zeros([3, 2]), device.zeros([3])];
  const refused = (act: () => void, message: string) => assert.throws(act, { name: "ShapeError", message });
  refused(
    () => adamw(p, other, p, p, schedule, null, options),
    "adamw: gradient must have the shape of the parameter, (2, 3), got (3, 2)",
  );
  refused(
    () => adamw(p, p, p, other, schedule, null, options),
    "adamw: v must have the shape of the parameter, (2, 3), got (3, 2)",
  );
  refused(
    () => adamw(p, p, p, p, device.zeros([2]), null, options),
    "adamw: schedule must be (numbers) = (3), got (2)",
  );
  refused(
    () => adamw(p, p, p, p, schedule, device.zeros([2]), options),
    "adamw: clip must be (numbers) = (1), got (2)",
  );
});
