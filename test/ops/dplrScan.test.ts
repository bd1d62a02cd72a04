import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { dplrScan, dplrScanOp } from "../../src/ops/dplrScan.ts";
import type { Numbers } from "../../src/tensor/backend.ts";
import type { Device } from "../../src/tensor/device.ts";
import { elementsOf, type Shape } from "../../src/tensor/shape.ts";
import { compareCalls, evaluate, type Input, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";
import { anySystems, systemInputs, systemShapes, systemValue, type SystemSizes } from "./dplrSystems.ts";

/**
 * float32 against float64, relative to the largest number of a tensor: what is discrete is rounded once, and counts at
 * each of up to 50 steps; gradients are sums over three sequences of these.
 */
const tolerance = 1e-4;

type Sizes = SystemSizes & { readonly batch: number; readonly length: number };

let devices: Device[];
before(async () => {
  devices = await openDevices();
});
after(async () => {
  for (const device of devices) await device.dispose();
});

/** u, Λ, P, B, C, Δ, D and the state, or those of the last two that are given. */
function inputsOf(sizes: Sizes, given: readonly boolean[] = [true, true]): (Input | null)[] {
  const { batch, length, channels, n } = sizes;
  const u = normals(1, batch, length, channels);
  const optional = [normals(2, channels), normals(3, batch, channels, n, 2)];
  return [u, ...systemInputs(sizes), ...optional.map((input, k) => (given[k] ? input : null))];
}

test("one pair, one step: (I − Δ/2 A) h = (I + Δ/2 A) state + Δ B u", async () => {
  const device = exactDevice();
  // Λ = −1 ± 2i and P = ½ (1 ± i): for x = re + i im, P* x = re + im, and A x = Λ x − (1 + i)/2 (re + im),
  // as a real matrix [[−1.5, −2.5], [1.5, −1.5]]. With Δ = 1: (I − A/2)⁻¹ = [[1.75, −1.25], [0.75, 1.75]] / 4.
  const pair = (re: number, im: number) => device.tensor([re, im], [1, 1, 2]);
  const P = device.tensor([0.5, 0.5], [1, 1, 1, 2]);
  const state = device.tensor([4, 8], [1, 1, 1, 2]);
  const u = device.tensor([2], [1, 1, 1]);
  const options = { state, D: device.tensor([10]) };
  const out = dplrScan(u, pair(-1, 2), P, pair(1, 0), pair(3, -1), device.tensor([1]), options);
  // (I + A/2) state + u = (4 − 3 − 10 + 2, 8 + 3 − 6) = (−7, 5)
  const h = [(1.75 * -7 - 1.25 * 5) / 4, (0.75 * -7 + 1.75 * 5) / 4];
  const near = (got: Numbers, expected: number[]) =>
    assert.ok(
      expected.every((v, i) => Math.abs(got[i] - v) < 1e-14),
      `${got.join()} must be ${expected.join()}`,
    );
  near(await out.state.read(), h);
  near(await out.y.read(), [2 * (3 * h[0] + h[1]) + 20]);
});

test("the gradient agrees with finite differences, for every input, both outputs and both ranks", async () => {
  for (const rank of [1, 2]) {
    const sizes = { batch: 2, length: 5, channels: 2, n: 3, rank };
    const shapes: Shape[] = [[2, 5, 2], ...systemShapes(sizes), [2], [2, 2, 3, 2]];
    const gap = await gradcheck(
      (u, lambda, P, B, C, delta, D, state) => {
        const out = dplrScan(u, lambda, P, B, C, delta, { D, state });
        return [out.y, out.state];
      },
      shapes,
      (k, i) => (k >= 1 && k <= 5 ? systemValue(k - 1, i, 3) : Math.sin(3.7 * i * i + k)),
      weigh,
    );
    assert.ok(gap < 2e-8, `gap ${gap}`);
  }
});

test("every device computes what the plain loops compute, whatever is left out or has no gradient", async () => {
  const anySizes = fc.record({
    batch: fc.integer({ min: 1, max: 3 }),
    length: fc.integer({ min: 1, max: 60 }),
  });
  const two = fc.array(fc.boolean(), { minLength: 2, maxLength: 2 });
  const channels = fc.integer({ min: 1, max: 24 });
  for (const device of devices) {
    const agrees = fc.asyncProperty(
      fc.tuple(anySizes, anySystems, channels, two, two),
      async ([sizes, systems, count, given, graded]) => {
        const n = Math.min(systems.n, 20);
        const inputs = inputsOf({ ...sizes, ...systems, n, channels: count }, given);
        await compareCalls(device, dplrScanOp, inputs, null, tolerance, graded);
      },
    );
    await fc.assert(agrees, { seed: 1, numRuns: { plain: 2, webgpu: 5 }[device.name] ?? 10 });
  }
});

test("every device computes what the plain loops compute where a channel has more states than a workgroup invocations", async () => {
  for (const rank of [1, 2]) {
    const inputs = inputsOf({ batch: 2, length: 35, channels: 3, n: 70, rank });
    for (const device of devices) await compareCalls(device, dplrScanOp, inputs, null, tolerance);
  }
});

/** The steps from … to of u. */
function cut({ shape: [batch, length, channels], values }: Input, from: number, to: number): Input {
  const parts = Array.from({ length: batch }, (_, b) =>
    Array.from(values).slice((b * length + from) * channels, (b * length + to) * channels),
  );
  return { shape: [batch, to - from, channels], values: parts.flat() };
}

test("a sequence whole, in chunks and step by step gives the same bits, outputs and state", async () => {
  for (const rank of [1, 2]) {
    const inputs = inputsOf({ batch: 1, length: 53, channels: 21, n: 5, rank });
    for (const device of devices) {
      const place = (input: Input | null) => device.tensor(input!.values, input!.shape); // all are given
      const [lambda, P, B, C, delta, D, initial] = inputs.slice(1).map(place);
      const inPieces = async (ends: readonly number[]) => {
        let state = initial;
        const ys: number[] = [];
        for (const [i, end] of ends.entries()) {
          const u = place(cut(inputs[0]!, ends[i - 1] ?? 0, end)); // as above
          const out = dplrScan(u, lambda, P, B, C, delta, { D, state });
          state = out.state;
          ys.push(...(await out.y.read()));
        }
        return [...ys, ...(await state.read())];
      };
      const whole = await inPieces([53]);
      assert.deepEqual(await inPieces([1, 16, 17, 40, 53]), whole);
      assert.deepEqual(await inPieces(Array.from({ length: 53 }, (_, t) => t + 1)), whole);
    }
  }
});

test("a sequence gives the same bits in every batch, gradients included", async () => {
  const together = inputsOf({ batch: 3, length: 37, channels: 19, n: 4, rank: 1 });
  const alone = together.map((input, k) => {
    if (k !== 0 && k !== 7) return input;
    const [, ...rest] = input!.shape; // nothing is left out
    return { shape: [1, ...rest], values: Array.from(input!.values).slice(0, elementsOf(rest)) };
  });
  for (const device of devices) {
    const whole = await evaluate(device, dplrScanOp, together, null);
    const single = await evaluate(device, dplrScanOp, alone, null);
    for (const name of ["y", "state", "gradient of u", "gradient of state"]) {
      const values = single.get(name)!; // named as the op names them
      assert.deepEqual(values, whole.get(name)!.slice(0, values.length), `${device.name}: ${name}`);
    }
  }
});

test("NaN stays in its channel, and in the steps from it on", async () => {
  const inputs = inputsOf({ batch: 1, length: 12, channels: 21, n: 3, rank: 1 });
  const u = Float64Array.from(inputs[0]!.values); // always given
  u[5 * 21 + 4] = NaN;
  for (const device of devices) {
    const found = await evaluate(
      device,
      dplrScanOp,
      [{ ...inputs[0]!, values: u }, ...inputs.slice(1)],
      null,
    );
    for (const [i, v] of found.get("y")!.entries()) {
      assert.equal(Number.isNaN(v), i % 21 === 4 && i >= 5 * 21, `${device.name}: y[${i}] is ${v}`);
    }
  }
});

test("shapes that do not fit are refused by name", () => {
  const u = [2, 9, 6];
  const one = [6, 4, 2];
  const system = [one, [1, ...one], one, one, [6]];
  const refuses = (inputs: (Shape | null)[], message: string) =>
    assert.throws(() => dplrScanOp.shapes([...inputs, null, null].slice(0, 8), null), {
      name: "ShapeError",
      message: `dplrScan: ${message}`,
    });
  refuses([[9, 6], ...system], "u must be (batch, length, channels), got (9, 6)");
  refuses([[2, 9, 5], ...system], "u must be (batch, length, channels) = (2, 9, 6), got (2, 9, 5)");
  refuses([[2, 0, 6], ...system], "length must be at least 1, got 0");
  refuses([u, [6, 0, 2], ...system.slice(1)], "lambda must be (channels, n, 2) with n ≥ 1, got (6, 0, 2)");
  refuses([u, [6, 4, 3], ...system.slice(1)], "lambda must be (channels, n, 2) with n ≥ 1, got (6, 4, 3)");
  refuses([u, one, one, one, one, [6]], "P must be (rank, channels, n, complex), got (6, 4, 2)");
  refuses([u, one, [3, ...one], one, one, [6]], "the rank of P must be 1 or 2, got 3");
  refuses(
    [u, one, [1, ...one], [6, 5, 2], one, [6]],
    "B must be (channels, n, complex) = (6, 4, 2), got (6, 5, 2)",
  );
  refuses(
    [u, one, [1, ...one], one, [6, 5, 2], [6]],
    "C must be (channels, n, complex) = (6, 4, 2), got (6, 5, 2)",
  );
  refuses([u, one, [1, ...one], one, one, [1]], "delta must be (channels) = (6), got (1)");
  refuses([u, ...system, [1]], "D must be (channels) = (6), got (1)");
  refuses(
    [u, ...system, null, [1, 6, 4, 2]],
    "state must be (batch, channels, n, complex) = (2, 6, 4, 2), got (1, 6, 4, 2)",
  );
});
