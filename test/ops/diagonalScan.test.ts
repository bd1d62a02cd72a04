import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { random } from "../../src/math/random.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { diagonalDiscretize, diagonalDiscretizeOp } from "../../src/ops/diagonalDiscretize.ts";
import { diagonalFilter } from "../../src/ops/diagonalFilter.ts";
import { diagonalRecurrence, diagonalScan, diagonalScanOp } from "../../src/ops/diagonalScan.ts";
import { sum } from "../../src/ops/reduce.ts";
import type { Device } from "../../src/tensor/device.ts";
import { elementsOf, type Shape } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { compareCalls, evaluate, type Input, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

interface Sizes {
  batch: number;
  length: number;
  channels: number;
  n: number;
}

/** u, Ā, B̄, C, D, state: Ā of size 0.3 … 1, at any angle. */
function inputsOf({ batch, length, channels, n }: Sizes): Input[] {
  const source = random(1);
  const Abar = Array.from({ length: channels * n }, () => {
    const [size, angle] = [0.3 + 0.7 * source.uniform(), 2 * Math.PI * source.uniform()];
    return [size * Math.cos(angle), size * Math.sin(angle)];
  });
  return [
    normals(2, batch, length, channels),
    { shape: [channels, n, 2], values: Float32Array.from(Abar.flat()) },
    normals(3, channels, n, 2),
    normals(4, channels, n, 2),
    normals(5, channels),
    normals(6, batch, channels, n, 2),
  ];
}

const place = (device: Device, { shape, values }: Input) => device.tensor(values, shape);
const numbers = async (tensor: Tensor) => [...(await tensor.read())];
const rules = ["zoh", "bilinear"] as const;

test("a state that halves and turns by a quarter at each step, checked by hand", async () => {
  const device = exactDevice();
  const quarter = device.tensor([0, 0.5], [1, 1, 2]); // Ā = i/2
  const one = device.tensor([1, 0], [1, 1, 2]);
  const options = { D: device.tensor([10]), state: device.tensor([8, 4], [1, 1, 1, 2]) };
  const { y, state } = diagonalRecurrence(device.tensor([1, 0, 0], [1, 3, 1]), quarter, one, one, options);
  // h: 8 + 4i → −2 + 4i + 1 = −1 + 4i → −2 − 0.5i → 0.25 − i
  assert.deepEqual(await numbers(y), [8, -4, 0.5]);
  assert.deepEqual(await numbers(state), [0.25, -1]);
});

test("the recurrence is the convolution with the filter of the same system", async () => {
  const check = fc.asyncProperty(
    fc.record({
      batch: fc.integer({ min: 1, max: 2 }),
      length: fc.integer({ min: 1, max: 20 }),
      channels: fc.integer({ min: 1, max: 3 }),
      n: fc.integer({ min: 1, max: 4 }),
    }),
    fc.constantFrom(...rules),
    async (sizes, discretization) => {
      const { batch, length, channels } = sizes;
      const device = exactDevice();
      const [u, , B, C] = inputsOf(sizes).map((input) => place(device, input));
      const lambda = place(device, {
        ...normals(7, channels, sizes.n, 2),
        values: decaying(channels * sizes.n),
      });
      const delta = device.tensor(Float64Array.from({ length: channels }, (_, d) => 0.1 * (d + 1)));
      const K = await diagonalFilter(lambda, B, C, delta, { length, discretization }).read();
      const y = await diagonalScan(u, lambda, B, C, delta, { discretization }).y.read();
      const input = await u.read();
      for (let b = 0; b < batch; b++) {
        for (let t = 0; t < length; t++) {
          for (let d = 0; d < channels; d++) {
            let expected = 0;
            for (let s = 0; s <= t; s++)
              expected += K[d * length + s] * input[(b * length + t - s) * channels + d];
            const got = y[(b * length + t) * channels + d];
            assert.ok(Math.abs(got - expected) < 1e-12 * Math.max(1, Math.abs(expected)));
          }
        }
      }
    },
  );
  await fc.assert(check, { seed: 1, numRuns: 20 });
});

/** Λ: −0.5 … −1.5 and ±8 i. */
function decaying(count: number): Float64Array {
  const source = random(9);
  return Float64Array.from({ length: 2 * count }, (_, i) =>
    i % 2 === 0 ? -0.5 - source.uniform() : 16 * source.uniform() - 8,
  );
}

test("the gradient agrees with finite differences, for every input and both outputs", async () => {
  const sizes = { batch: 2, length: 5, channels: 3, n: 2 };
  const inputs = inputsOf(sizes);
  const shapes: Shape[] = [...inputs.map(({ shape }) => shape), [sizes.channels]];
  const lambda = decaying(6);
  for (const discretization of rules) {
    const gap = await gradcheck(
      (u, lambda, B, C, D, state, delta) => {
        const out = diagonalScan(u, lambda, B, C, delta, { D, state, discretization });
        return [out.y, out.state];
      },
      shapes,
      (k, i) => (k === 1 ? lambda[i] : k === 6 ? 0.2 + 0.1 * i : inputs[k].values[i]),
      weigh,
    );
    assert.ok(gap < 1e-8, `${discretization}: gap ${gap}`);
  }
});

/** Sums over at most 3 · 50 steps of states that may last, relative to the largest number of a tensor. */
const tolerance = 3e-5;

const anySizes = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  length: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom(1, 16, 32)),
  channels: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(16, 32)),
  n: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(16, 33)),
});
const flags = (count: number) => fc.array(fc.boolean(), { minLength: count, maxLength: count });

test("every device computes what the plain loops compute, whatever is left out or has no gradient", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(anySizes, flags(2), flags(2), async (sizes, given, graded) => {
      const inputs = inputsOf(sizes).map((input, k) => (k < 4 || given[k - 4] ? input : null));
      await compareCalls(device, diagonalScanOp, inputs, null, tolerance, graded);
    });
    await fc.assert(agrees, { seed: 1, numRuns: { plain: 2, webgpu: 3 }[device.name] ?? 20 });
  }
});

test("every device computes what the plain loops compute where a channel has more modes than a workgroup invocations", async () => {
  const inputs = inputsOf({ batch: 2, length: 35, channels: 3, n: 70 });
  for (const device of devices) await compareCalls(device, diagonalScanOp, inputs, null, tolerance);
});

test("every device discretizes as the plain loops do, and gives the same gradients", async () => {
  for (const device of devices) {
    const agrees = fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(32, 33)),
      fc.constantFrom(...rules),
      flags(2),
      async (channels, n, discretization, graded) => {
        const lambda = { shape: [channels, n, 2], values: decaying(channels * n).map(Math.fround) };
        const delta = {
          shape: [channels],
          values: Float32Array.from({ length: channels }, (_, d) => 10 ** (1 - 2 * d)),
        };
        const inputs = [lambda, normals(1, channels, n, 2), delta];
        await compareCalls(device, diagonalDiscretizeOp, inputs, { discretization }, 2e-6, graded);
      },
    );
    await fc.assert(agrees, { seed: 1, numRuns: { plain: 2, webgpu: 8 }[device.name] ?? 15 });
  }
});

/** The steps from … to of a tensor (batch, length, …). */
function cut({ shape: [batch, length, ...rest], values }: Input, from: number, to: number): Input {
  const row = elementsOf(rest);
  const parts = Array.from({ length: batch }, (_, b) =>
    Array.from(values).slice((b * length + from) * row, (b * length + to) * row),
  );
  return { shape: [batch, to - from, ...rest], values: parts.flat() };
}

test("a sequence whole, in pieces and step by step gives the same bits, outputs and state", async () => {
  const inputs = inputsOf({ batch: 1, length: 53, channels: 37, n: 7 });
  for (const device of devices) {
    const [, Abar, Bbar, C, D, initial] = inputs.map((input) => place(device, input));
    const whole = diagonalRecurrence(place(device, inputs[0]), Abar, Bbar, C, { D, state: initial });
    for (const ends of [[1, 17, 32, 53], Array.from({ length: 53 }, (_, t) => t + 1)]) {
      let state = initial;
      const ys: number[][] = [];
      for (const [i, end] of ends.entries()) {
        const piece = place(device, cut(inputs[0], ends[i - 1] ?? 0, end));
        const out = diagonalRecurrence(piece, Abar, Bbar, C, { D, state });
        state = out.state;
        ys.push(await numbers(out.y));
      }
      assert.deepEqual(ys.flat(), await numbers(whole.y), device.name);
      assert.deepEqual(await numbers(state), await numbers(whole.state), device.name);
    }
  }
});

test("a sequence gives the same bits in every batch, gradients included", async () => {
  const inputs = inputsOf({ batch: 3, length: 40, channels: 19, n: 5 });
  const alone = inputs.map((input, k) => {
    if (k !== 0 && k !== 5) return input;
    const [batch, ...rest] = input.shape;
    return { shape: [1, ...rest], values: Array.from(input.values).slice(0, input.values.length / batch) };
  });
  for (const device of devices) {
    const whole = await evaluate(device, diagonalScanOp, inputs, null);
    const single = await evaluate(device, diagonalScanOp, alone, null);
    for (const name of ["y", "state", "gradient of u"]) {
      const values = single.get(name)!; // named as the op names them
      assert.deepEqual(values, whole.get(name)!.slice(0, values.length), `${device.name}: ${name}`);
    }
  }
});

test("NaN stays in its channel and from its step on", async () => {
  const sizes = { batch: 1, length: 20, channels: 21, n: 3 };
  const inputs = inputsOf(sizes);
  const u = Float32Array.from(inputs[0].values);
  u[9 * 21 + 4] = NaN;
  for (const device of devices) {
    const spoilt = [{ ...inputs[0], values: u }, ...inputs.slice(1)];
    const { y, "gradient of u": du } = Object.fromEntries(
      await evaluate(device, diagonalScanOp, spoilt, null),
    );
    for (let i = 0; i < u.length; i++) {
      assert.equal(Number.isNaN(y[i]), i % 21 === 4 && i >= 9 * 21, `${device.name}: y[${i}]`);
      assert.ok(!Number.isNaN(du[i]));
    }
  }
});

test("a system discretized once and stepped gives what one that is discretized at each step gives", async () => {
  for (const device of devices) {
    const [u, , B, C, D, state] = inputsOf({ batch: 2, length: 9, channels: 5, n: 3 }).map((x) =>
      place(device, x),
    );
    const lambda = place(device, { shape: [5, 3, 2], values: decaying(15) });
    const delta = device.tensor([0.1, 0.2, 0.3, 0.4, 0.5]);
    const { Abar, Bbar } = diagonalDiscretize(lambda, B, delta);
    const both = [
      diagonalScan(u, lambda, B, C, delta, { D, state }),
      diagonalRecurrence(u, Abar, Bbar, C, { D, state }),
    ];
    assert.deepEqual(await numbers(both[0].y), await numbers(both[1].y));
    assert.deepEqual(await numbers(both[0].state), await numbers(both[1].state));
    assert.ok(Number.isFinite(await sum(add(mul(both[0].y, both[1].y), both[0].y)).item()));
  }
});

test("shapes that do not fit are refused by name", () => {
  const fit: (Shape | null)[] = [[2, 6, 3], [3, 4, 2], [3, 4, 2], [3, 4, 2], null, null];
  const refuses = (at: number, shape: Shape, message: string) =>
    assert.throws(() => diagonalScanOp.shapes(fit.with(at, shape), null), {
      name: "ShapeError",
      message: `diagonalScan: ${message}`,
    });
  refuses(0, [6, 3], "u must be (batch, length, channels), got (6, 3)");
  refuses(0, [2, 0, 3], "length must be at least 1, got 0");
  refuses(1, [4, 4, 2], "Abar must be (channels, n, complex) = (3, 4, 2), got (4, 4, 2)");
  refuses(2, [3, 5, 2], "Bbar must be (channels, n, complex) = (3, 4, 2), got (3, 5, 2)");
  refuses(3, [3, 4], "C must be (channels, n, complex) = (3, 4, 2), got (3, 4)");
  refuses(4, [4], "D must be (channels) = (3), got (4)");
  refuses(5, [3, 4, 2], "state must be (batch, channels, n, complex) = (2, 3, 4, 2), got (3, 4, 2)");
});
