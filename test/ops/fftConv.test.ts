import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { openDevice } from "../../src/node.ts";
import { fftConv, fftConvOp } from "../../src/ops/fftConv.ts";
import type { Device } from "../../src/tensor/device.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { assertNear, compareCalls, evaluate, type Input, normals, weigh } from "../compareCalls.ts";
import { openDevices, openGpus } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

/** float32 against float64, relative to numbers near 1 or the largest of a tensor: a few roundings a level, five sums. */
const tolerance = 5e-6;

interface Sizes {
  batch: number;
  length: number;
  channels: number;
  filterLength: number;
  futureLength: number;
}

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

/** The devices whose transforms have sizes of other factors than two. */
const compiled = () => devices.slice(1).filter(({ name }) => name !== "webgpu");

const shapesOf = ({ batch, length, channels, filterLength, futureLength }: Sizes): Shape[] => [
  [batch, length, channels],
  [channels, filterLength],
  [channels],
  [channels, futureLength],
];

/**
 * Noise for all four inputs, or those of them that `given` says. u is so small that the gradient of D, a sum over all
 * steps of a channel, is near 1 or less: rounding is relative to its terms.
 */
function inputsOf(sizes: Sizes, given: (input: number) => boolean = () => true): (Input | null)[] {
  const small = 1 / Math.sqrt(sizes.batch * sizes.length);
  return shapesOf(sizes).map((shape, k) => {
    if (!given(k)) return null;
    const { values } = normals(k + 1, ...shape);
    return { shape, values: Float32Array.from(values, (v) => (k === 0 ? small * v : v)) };
  });
}

const numbers = async (tensor: Tensor) => [...(await tensor.read())];

test("taps reach back from each step, D is the step itself, and future taps reach ahead", async () => {
  const device = exactDevice();
  const u = device.tensor([1, 2, 3, 4], [1, 4, 1]);
  const filter = device.tensor([1, 10, 100], [1, 3]);
  assert.deepEqual(await numbers(fftConv(u, filter)), [1, 12, 123, 234]);
  const D = device.tensor([0.5]);
  assert.deepEqual(await numbers(fftConv(u, filter, { D })), [1.5, 13, 124.5, 236]);
  const future = device.tensor([1000, 10000], [1, 2]);
  assert.deepEqual(await numbers(fftConv(u, filter, { future })), [32001, 43012, 4123, 234]);
});

test("the gradient agrees with finite differences, for every input, whatever the lengths", async () => {
  const sizes = fc.record({
    batch: fc.integer({ min: 1, max: 2 }),
    length: fc.integer({ min: 1, max: 6 }),
    channels: fc.integer({ min: 1, max: 2 }),
    filterLength: fc.integer({ min: 1, max: 8 }),
    futureLength: fc.integer({ min: 1, max: 8 }),
  });
  const agrees = fc.asyncProperty(sizes, async (sizes) => {
    const gap = await gradcheck(
      (u, filter, D, future) => fftConv(u, filter, { D, future }),
      shapesOf(sizes),
      (k, i) => Math.sin(12.9898 * (i + 1) + 78.233 * (k + 1)),
      weigh,
    );
    assert.ok(gap < 1e-8, `gap ${gap}`);
  });
  await fc.assert(agrees, { numRuns: 20 });
});

const anySizes = fc.record({
  batch: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 7, max: 10 })),
  length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 150 })),
  channels: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 15, max: 18 })),
  filterLength: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 200 })),
  futureLength: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 200 })),
});
const flags = (count: number) => fc.array(fc.boolean(), { minLength: count, maxLength: count });

test("every device computes what the plain loops compute, whatever is left out or has no gradient", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(anySizes, flags(2), fc.boolean(), async (sizes, given, graded) => {
      const inputs = inputsOf(sizes, (k) => k < 2 || given[k - 2]);
      await compareCalls(device, fftConvOp, inputs, null, tolerance, [graded]);
    });
    await fc.assert(agrees, { numRuns: device.name === "webgpu" ? 3 : 25 }); // the GPU compiles for each size
  }
});

test("every device is right where transforms change: at and around each of their sizes, and when they are long", async () => {
  for (const device of compiled()) {
    for (const size of [16, 32, 48, 64, 80, 96, 144, 240, 256, 720, 1024, 1280]) {
      for (const length of [size - 1, size, size + 1]) {
        const sizes = { batch: 1, length, channels: 1, filterLength: length, futureLength: length };
        await compareCalls(
          device,
          fftConvOp,
          inputsOf(sizes, (k) => k < 3),
          null,
          tolerance,
        );
      }
    }
    const sizes = { batch: 2, length: 4096, channels: 1, filterLength: 4096, futureLength: 4095 };
    await compareCalls(device, fftConvOp, inputsOf(sizes), null, tolerance);
  }
});

test("transforms of the GPU that exceed a workgroup, and work that exceeds the scratch, go in parts", async () => {
  const gpus = await openGpus(
    { fourier: { near: 16, scratch: 2 ** 7 } },
    { fourier: { near: 64, scratch: 2 ** 13 }, defaultLimits: true, subgroups: false },
  );
  for (const device of gpus) {
    for (const [batch, length, channels] of [
      [5, 150, 20],
      [3, 500, 17],
    ]) {
      const sizes = { batch, length, channels, filterLength: 530, futureLength: 100 };
      await compareCalls(device, fftConvOp, inputsOf(sizes), null, tolerance);
    }
    await device.dispose();
  }
});

test("a convolution of thousands of steps loses no more than ten roundings of its largest output", async () => {
  for (const device of devices.slice(1)) {
    for (const length of [80, 720, 1024, 3000, 8192]) {
      const inputs = inputsOf({ batch: 1, length, channels: 1, filterLength: length, futureLength: 1 });
      const y = async (on: Device) => {
        const [u, filter, D] = inputs.map((input) => on.tensor(input!.values, input!.shape)); // all are given
        return await fftConv(u, filter, { D }).read();
      };
      assertNear(device.name, await y(device), await y(exactDevice()), 10 * 2 ** -24);
    }
  }
});

test("a short filter meets a long sequence, and a long filter a short one", async () => {
  for (const device of devices) {
    for (const [length, filterLength] of [
      [1500, 3],
      [3, 1500],
    ]) {
      const sizes = { batch: 1, length, channels: 5, filterLength, futureLength: filterLength };
      await compareCalls(device, fftConvOp, inputsOf(sizes), null, tolerance);
    }
  }
});

const large: Sizes = { batch: 9, length: 130, channels: 37, filterLength: 130, futureLength: 100 };

test("a sequence gives the same bits alone as among others", async () => {
  const all = inputsOf(large);
  const { length, channels } = large;
  for (const device of devices) {
    const together = (await evaluate(device, fftConvOp, all, null)).get("y")!; // named as the op names it
    for (const b of [0, 4, 8]) {
      const from = b * length * channels;
      const one = { shape: [1, length, channels], values: slice(all[0]!, from, from + length * channels) };
      const alone = (await evaluate(device, fftConvOp, [one, ...all.slice(1)], null)).get("y");
      assert.deepEqual(together.slice(from, from + length * channels), alone, device.name);
    }
  }
});

const slice = ({ values }: Input, from: number, to: number) => Array.from(values).slice(from, to);

for (const name of ["wasm", "native"]) {
  test(`${name} computes the same bits on one thread as on three`, async (context) => {
    if (!devices.some((device) => device.name === name)) return context.skip(`no ${name} device`);
    const [one, three] = await Promise.all([1, 3].map((threads) => openDevice({ device: name, threads })));
    const inputs = inputsOf(large);
    assert.deepEqual(
      await evaluate(three, fftConvOp, inputs, null),
      await evaluate(one, fftConvOp, inputs, null),
    );
    await Promise.all([one.dispose(), three.dispose()]);
  });
}

test("NaN and infinity stay in their channel of their sequence, and come out of it", async () => {
  const { length, channels } = large;
  for (const device of devices) {
    for (const bad of [NaN, Infinity]) {
      const inputs = inputsOf(large);
      const sound = (await evaluate(device, fftConvOp, inputs, null)).get("y")!; // named as the op names it
      const values = Float32Array.from(inputs[0]!.values); // never left out
      values[(3 * length + 70) * channels + 20] = bad;
      const spoilt = [{ ...inputs[0]!, values }, ...inputs.slice(1)];
      const y = (await evaluate(device, fftConvOp, spoilt, null)).get("y")!; // as above
      const own = (i: number) => i % channels === 20 && Math.floor(i / channels / length) === 3;
      assert.deepEqual(y.filter((_, i) => !own(i)), sound.filter((_, i) => !own(i)), device.name); // prettier-ignore
      const last = y[(3 * length + length - 1) * channels + 20];
      assert.ok(!Number.isFinite(last), `${device.name}: ${last}`);
    }
  }
});

test("shapes that do not fit are refused by name", () => {
  const refuses = (shapes: (Shape | null)[], message: string) =>
    assert.throws(() => fftConvOp.shapes(shapes, null), {
      name: "ShapeError",
      message: `fftConv: ${message}`,
    });
  refuses([[64, 32], [32, 64], null, null], "u must be (batch, length, channels), got (64, 32)");
  refuses([[2, 64, 32], [64], null, null], "filter must be (channels, filterLength), got (64)");
  refuses(
    [[2, 64, 32], [64, 32], null, null],
    "filter must be (channels, filterLength) = (32, 32), got (64, 32)",
  );
  refuses([[2, 64, 32], [32, 64], [31], null], "D must be (channels) = (32), got (31)");
  refuses(
    [[2, 64, 32], [32, 64], null, [31, 64]],
    "future must be (channels, futureLength) = (32, 64), got (31, 64)",
  );
  refuses([[2, 0, 32], [32, 64], null, null], "length must be at least 1, got 0");
  refuses([[2, 64, 32], [32, 0], null, null], "filterLength must be at least 1, got 0");
  refuses([[2, 64, 32], [32, 64], null, [32, 0]], "futureLength must be at least 1, got 0");
});
