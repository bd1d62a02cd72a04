import assert from "node:assert/strict";
import { after, test } from "node:test";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { rope, ropeOp, turnsOf } from "../../src/ops/rope.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import type { Device } from "../../src/tensor/device.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { assertNear, normals, weigh } from "../compareCalls.ts";
import { openDevices, openGpus } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

/** At most 24 products of numbers of size 1, in float32. */
const tolerance = 5e-6;

test("each pair of channels is turned by position times base^(−2c / headDim), to positions of a million", async () => {
  for (const device of [exactDevice(), ...devices]) {
    for (const start of [0, 5, 2 ** 20 - 1]) {
      const u = device.tensor([1, 0, 1, 0, 0, 2, 0, 2], [1, 2, 1, 4]);
      const y = await rope(u, { position: device.integers([start]), base: 100 }).read();
      const expected = [0, 1].flatMap((t) =>
        [1, 0.1].flatMap((theta) => {
          const angle = (start + t) * theta;
          return t === 0 ? [Math.cos(angle), Math.sin(angle)] : [-2 * Math.sin(angle), 2 * Math.cos(angle)];
        }),
      );
      for (const [i, value] of y.entries()) {
        const bound = device.float === "f64" ? 1e-8 : tolerance;
        assert.ok(Math.abs(value - expected[i]) < bound, `${device.name}: ${value}, must be ${expected[i]}`);
      }
    }
  }
});

test("products of two rows depend on how far apart they stand alone", async () => {
  const device = exactDevice();
  const [q, k] = [1, 2].map((seed) => device.tensor(normals(seed, 8).values, [1, 1, 1, 8]));
  const turned = (u: Tensor, position: number) => rope(u, { position: device.integers([position]) });
  const product = (i: number, j: number) => sum(mul(turned(q, i), turned(k, j))).item();
  assert.ok(Math.abs((await product(7, 3)) - (await product(1004, 1000))) < 1e-10);
});

test("the gradient agrees with finite differences", async () => {
  const { shape, values } = normals(1, 2, 3, 2, 6);
  const gap = await gradcheck(
    (u) => rope(u, { position: u.device.integers([9]) }),
    [shape],
    (_, i) => values[i],
    weigh,
  );
  assert.ok(gap < 1e-8, `gap ${gap}`);
});

test("every device computes what the plain loops compute, forward and backward, and adds gradients up", async () => {
  const { shape, values } = normals(3, 2, 40, 3, 150);
  const run = async (device: Device) => {
    const u = device.tensor(values, shape);
    const position = device.integers([1000]);
    const turned = () => rope(u, { position });
    const twice = () => weigh([turned(), turned()]);
    return [await turned().read(), await gradients([u], twice).gradients.get(u)!.read()]; // u leads to the value
  };
  const expected = await run(exactDevice());
  for (const device of devices) {
    const got = await run(device);
    for (const i of [0, 1]) assertNear(device.name, got[i], expected[i], tolerance);
  }
});

test("the gradient of one call is added or overwritten, by a pair's invocation or by one for all heads", async () => {
  const sizes = [2, 5, 3, 10];
  const [u, dy] = [normals(1, ...sizes), normals(2, ...sizes)];
  const gpus = await openGpus(
    { parallelism: 1 },
    { parallelism: 2 ** 20, defaultLimits: true, subgroups: false },
  );
  const run = async (device: Device, adds: boolean) => {
    const [given, weights, grad] = [u, dy, u].map(({ values }) => device.tensor(values, sizes));
    const turns = device.tensor(turnsOf(10, 100), [24, 5, 2]);
    const y = device.empty(sizes);
    const call = {
      op: ropeOp,
      sizes: ropeOp.shapes([sizes, [1], [24, 5, 2]], null).sizes,
      inputs: [given.buffer, device.integers([77]).buffer, turns.buffer],
      outputs: [y.buffer],
    };
    device.run({ ...call, pass: "forward", outputGrads: [], inputGrads: [], accumulate: [] });
    device.run({
      ...call,
      pass: "backward",
      outputGrads: [weights.buffer],
      inputGrads: [grad.buffer, null, null],
      accumulate: [adds, false, false],
    });
    return [await y.read(), await grad.read()];
  };
  for (const adds of [false, true]) {
    const expected = await run(exactDevice(), adds);
    for (const device of [...devices, ...gpus]) {
      const got = await run(device, adds);
      for (const i of [0, 1]) assertNear(device.name, got[i], expected[i], tolerance);
    }
  }
  for (const gpu of gpus) await gpu.dispose();
});

test("rows have the same bits wherever a sequence is cut", async () => {
  const { shape, values } = normals(4, 1, 37, 2, 10);
  for (const device of devices) {
    const whole = await rope(device.tensor(values, shape)).read();
    const rest = device.tensor(Array.from(values).slice(17 * 20), [1, 20, 2, 10]);
    const end = await rope(rest, { position: device.integers([17]) }).read();
    assert.deepEqual(end, whole.slice(17 * 20), device.name);
  }
});

test("what cannot be turned is refused", () => {
  const device = exactDevice();
  const refuses = (shape: number[], message: string) =>
    assert.throws(() => rope(device.zeros(shape)), { name: "ShapeError", message: `rope: ${message}` });
  refuses([1, 2, 1, 3], "headDim must be even, got (1, 2, 1, 3)");
  refuses([2, 1, 4], "u must be (batch, length, heads, headDim), got (2, 1, 4)");
});
