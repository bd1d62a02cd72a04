import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import * as activation from "../../src/ops/activation.ts";
import type { Op } from "../../src/tensor/op.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { compareCalls, evaluate, normals, weigh } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";
import { exactDevice, gradcheck } from "../gradcheck.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

interface Contract {
  readonly op: Op<null>;
  readonly fn: (u: Tensor) => Tensor;
  /** Where the sweep goes from and to: as far as f(u) and all that makes it up are normal numbers. */
  readonly from: number;
  readonly to: number;
  /** Most units in the last place by which f(u) may differ from the float64 value. */
  readonly ulps: number;
  /** Roundings among its operations that WGSL allows to be coarser: quotients and roots. Default 0. */
  readonly coarse?: number;
}

/** WGSL promises x / y within 2.5 ulp, and √x as 1 / inverseSqrt(x), of which each is as far off. IEEE: half an ulp. */
const COARSE = 2;

/** WGSL lets a device take subnormal numbers for 0, going into an operation and coming out. */
const SUBNORMAL = 2 ** -126;

const { exp, expOp, gelu, geluOp, log, logOp, neg, negOp, relu, reluOp, sigmoid, sigmoidOp } = activation;
const { silu, siluOp, softplus, softplusOp, sqrt, sqrtOp, square, squareOp, tanh, tanhOp } = activation;
const contracts: readonly Contract[] = [
  { op: negOp, fn: neg, from: -1e30, to: 1e30, ulps: 0 },
  { op: expOp, fn: exp, from: -87, to: 88, ulps: 1 },
  { op: logOp, fn: log, from: 1e-38, to: 3e38, ulps: 1, coarse: 1 },
  { op: sqrtOp, fn: sqrt, from: 1e-38, to: 3e38, ulps: 0.5, coarse: 2 },
  { op: squareOp, fn: square, from: -1e18, to: 1e18, ulps: 0.5 },
  { op: sigmoidOp, fn: sigmoid, from: -86, to: 86, ulps: 2.5, coarse: 1 },
  { op: tanhOp, fn: tanh, from: -20, to: 20, ulps: 1.5, coarse: 1 },
  { op: reluOp, fn: relu, from: -1e30, to: 1e30, ulps: 0 },
  { op: siluOp, fn: silu, from: -86, to: 86, ulps: 3, coarse: 1 },
  { op: softplusOp, fn: softplus, from: -86, to: 86, ulps: 2, coarse: 1 },
  { op: geluOp, fn: gelu, from: -12.5, to: 12.5, ulps: 4.5, coarse: 1 },
];

test("the functions have their textbook values", async () => {
  const at = async (fn: (u: Tensor) => Tensor, u: number) => fn(exactDevice().tensor([u])).item();
  const near = async (fn: (u: Tensor) => Tensor, u: number, expected: number) =>
    assert.ok(Math.abs((await at(fn, u)) - expected) < 1e-14, `${fn.name}(${u}) is ${await at(fn, u)}`);
  assert.equal(await at(neg, 3), -3);
  assert.equal(await at(square, -3), 9);
  assert.equal(await at(relu, -3), 0);
  assert.equal(await at(relu, 3), 3);
  await near(sigmoid, Math.log(3), 0.75);
  await near(tanh, Math.log(3) / 2, 0.5);
  await near(silu, Math.log(3), 0.75 * Math.log(3));
  await near(softplus, Math.log(3), Math.log(4));
  await near(gelu, 1, 0.841344746068543);
  await near(gelu, -1, -0.158655253931457);
});

test("the gradients are the slopes of the loss", async () => {
  for (const { op, fn } of contracts) {
    const positive = op === logOp || op === sqrtOp;
    const values = (_input: number, i: number) => (positive ? 1.2 : 0.1) + Math.sin(3 * i);
    assert.ok((await gradcheck(fn, [[2, 7]], values, weigh)) < 1e-7, op.name);
  }
});

for (const { op, from, to, ulps, coarse = 0 } of contracts) {
  test(`${op.name} is within ${ulps} ulp of its float64 value on every device`, async () => {
    const u = { shape: [20_001], values: sweep(from, to, 20_001) };
    const expected = (await evaluate(exactDevice(), op, [u], null)).get("y")!; // the output of these ops
    for (const device of devices) {
      const y = (await evaluate(device, op, [u], null)).get("y")!;
      const gpu = device.name === "webgpu";
      const most = gpu ? ulps + coarse * COARSE : ulps;
      for (let i = 0; i < y.length; i++) {
        if (gpu && Math.abs(u.values[i]) < SUBNORMAL) continue;
        const error = Math.abs(y[i] - expected[i]);
        if (error > most * ulp(expected[i]))
          assert.fail(`${device.name}: ${op.name}(${u.values[i]}) is ${y[i]}, must be ${expected[i]}`);
      }
    }
  });
}

test("every device computes what the plain loops compute, at any number of elements", async () => {
  for (const device of devices) {
    for (const { op } of contracts) {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 100 }), fc.nat(), async (n, seed) => {
          const u = normals(seed, n);
          const positive = op === logOp || op === sqrtOp;
          const values = positive ? Array.from(u.values, (x) => Math.abs(x) + 0.1) : u.values;
          await compareCalls(device, op, [{ ...u, values }], null);
        }),
        { numRuns: 10 },
      );
    }
  }
});

test("an element's bits do not depend on where it stands", async () => {
  for (const device of devices) {
    for (const { op, from, to } of contracts) {
      const values = sweep(from, to, 5003);
      const whole = (await evaluate(device, op, [{ shape: [5003], values }], null)).get("y")!;
      const last = (await evaluate(device, op, [{ shape: [1], values: values.slice(-1) }], null)).get("y")!;
      assert.deepEqual([...last], [whole[5002]], `${device.name}: ${op.name}`);
    }
  }
});

test("NaN stays NaN, and infinities, zeros and the ends of the range give what IEEE says", async () => {
  const u = {
    shape: [12],
    values: [NaN, Infinity, -Infinity, 0, -0, 3e38, -3e38, 1e30, -1e30, 2 ** -149, -(2 ** -149), 200],
  };
  for (const device of devices) {
    for (const { op } of contracts) {
      const y = (await evaluate(device, op, [u], null)).get("y")!;
      const exact = (await evaluate(exactDevice(), op, [u], null)).get("y")!;
      const flushes = device.name === "native" || device.name === "webgpu"; // see program.c
      for (const [i, expected] of Float32Array.from(exact).entries()) {
        if (device.name === "webgpu" && op === sqrtOp && Math.abs(u.values[i]) === 2 ** -149) continue;
        const flushed = flushes && Math.abs(expected) < SUBNORMAL;
        const near = Math.abs(y[i] - expected) <= (flushed ? SUBNORMAL : 1e-6 * Math.abs(expected));
        assert.ok(Object.is(y[i], expected) || near, `${device.name}: ${op.name}(${u.values[i]}) is ${y[i]}`);
      }
    }
  }
});

test("the slopes of the saturating functions keep their digits in the tails", async () => {
  const u = { shape: [2001], values: sweep(-40, 40, 2001) };
  for (const device of devices) {
    for (const op of [sigmoidOp, tanhOp, softplusOp]) {
      const slope = "gradient of u"; // weighted by cos(i), which is the same in both
      const got = (await evaluate(device, op, [u], null)).get(slope)!;
      const expected = (await evaluate(exactDevice(), op, [u], null)).get(slope)!;
      for (let i = 0; i < got.length; i++) {
        const error = Math.abs(got[i] - expected[i]);
        const most = device.name === "webgpu" ? 6 + 2 * COARSE : 6;
        assert.ok(
          error <= most * ulp(expected[i]),
          `${device.name}: ${op.name}′(${u.values[i]}) is ${got[i]}`,
        );
      }
    }
  }
});

/** n floats: half of them evenly over [from, to], half with evenly spread logarithms towards 0 or from there. */
function sweep(from: number, to: number, n: number): Float32Array {
  const half = n >> 1;
  return Float32Array.from({ length: n }, (_, i) => {
    if (i < half) return from + ((to - from) * i) / (half - 1);
    const share = (i - half) / (n - half - 1);
    if (from > 0) return from * (to / from) ** share;
    return (i & 1 ? from : to) * 1e-7 ** share;
  });
}

/** The distance of neighbouring floats at x. */
function ulp(x: number): number {
  const size = Math.max(Math.abs(x), 2 ** -126);
  return 2 ** (Math.floor(Math.log2(size)) - 23);
}
