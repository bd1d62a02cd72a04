import assert from "node:assert/strict";
import { test } from "node:test";
import { openDevice } from "../../src/node.ts";
import { adamwOp } from "../../src/ops/adamw.ts";
import { attentionOp } from "../../src/ops/attention.ts";
import { crossEntropyOp } from "../../src/ops/crossEntropy.ts";
import { diagonalFilterOp } from "../../src/ops/diagonalFilter.ts";
import { diagonalScanOp } from "../../src/ops/diagonalScan.ts";
import { dropoutOp } from "../../src/ops/dropout.ts";
import { embeddingOp } from "../../src/ops/embedding.ts";
import { sumOfSquaresOp } from "../../src/ops/gradientNorm.ts";
import { layerNormOp } from "../../src/ops/layerNorm.ts";
import { rmsNormOp } from "../../src/ops/rmsNorm.ts";
import { softmaxOp } from "../../src/ops/softmax.ts";
import type { Numbers } from "../../src/tensor/backend.ts";
import type { Device } from "../../src/tensor/device.ts";
import { DeviceError } from "../../src/tensor/errors.ts";
import { evaluate, type Input, integers, normals } from "../compareCalls.ts";

/** Each large enough to be shared among threads (program.ts, parallelWork), and of no round size. */
const calls: Record<string, (device: Device) => Promise<Map<string, Numbers>>> = {
  rmsNorm: (device) =>
    evaluate(device, rmsNormOp, [normals(1, 301, 203), normals(2, 203)], { epsilon: 1e-5 }),
  layerNorm: (device) =>
    evaluate(device, layerNormOp, [normals(1, 301, 203), normals(2, 203), normals(3, 203)], {
      epsilon: 1e-5,
    }),
  embedding: (device) => evaluate(device, embeddingOp, [integers(1, 16, 901), normals(2, 65, 16)], null),
  dropout: (device) => evaluate(device, dropoutOp, [normals(1, 50_001), integers(2, 9, 2)], { rate: 0.5 }),
  softmax: (device) => evaluate(device, softmaxOp, [normals(1, 101, 1001)], null),
  attention: (device) => {
    const [q, k, v] = [4, 2, 2].map((heads, i) => normals(i + 1, 1, 210, heads, 24));
    return evaluate(device, attentionOp, [q, k, v, null], null);
  },
  "crossEntropy of few tokens": (device) =>
    evaluate(device, crossEntropyOp, [normals(1, 5001, 16), integers(2, 16, 5001)], { ignore: 3 }),
  "crossEntropy of many tokens": (device) =>
    evaluate(device, crossEntropyOp, [normals(1, 41, 5001), integers(2, 5001, 41)], { ignore: -100 }),
  adamw: (device) => {
    const inputs = [1, 2, 3, 4].map((seed) => normals(seed, 30_001));
    const positive = { ...inputs[3], values: Array.from(inputs[3].values, Math.abs) };
    return evaluate(device, adamwOp, [...inputs.slice(0, 3), positive, normals(5, 3), null], {
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.1,
    });
  },
  diagonalFilter: (device) =>
    evaluate(device, diagonalFilterOp, [...modes(11, 35), normals(3, 11, 35, 2), steps(11)], { length: 301 }),
  diagonalScan: (device) => {
    const inputs = [normals(1, 3, 37, 33), ...modes(33, 21), normals(4, 33, 21, 2), normals(5, 33)];
    return evaluate(device, diagonalScanOp, [...inputs, normals(6, 3, 33, 21, 2)], null);
  },
  sumOfSquares: (device) => evaluate(device, sumOfSquaresOp, [normals(1, 100_001), null], null),
};

/** Two tensors (channels, n, 2): Λ with real parts below 0, or Ā inside the unit circle; and B. */
function modes(channels: number, n: number): Input[] {
  const inside = normals(1, channels, n, 2);
  const values = Array.from(inside.values, (x, i) =>
    i % 2 === 0 ? -0.5 * Math.abs(Math.tanh(x)) : 0.5 * Math.tanh(x),
  );
  return [{ ...inside, values }, normals(2, channels, n, 2)];
}

function steps(channels: number): Input {
  return { shape: [channels], values: Array.from({ length: channels }, (_, i) => 0.01 * (i + 1)) };
}

for (const name of ["wasm", "native"]) {
  test(`${name} computes the same bits on one thread as on three`, async (context) => {
    const found = new Map<string, Map<string, Numbers>>();
    for (const threads of [1, 3]) {
      let device: Device;
      try {
        device = await openDevice({ device: name, threads });
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        context.skip(error.message);
        return;
      }
      for (const [call, run] of Object.entries(calls)) {
        const results = await run(device);
        if (threads === 1) found.set(call, results);
        else assert.deepEqual(results, found.get(call), call);
      }
      await device.dispose();
    }
  });
}
