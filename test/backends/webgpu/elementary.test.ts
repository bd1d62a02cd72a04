import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebGpuBackend } from "../../../src/backends/webgpu/backend.ts";
import { openDevice } from "../../../src/node.ts";
import { geluOp, siluOp } from "../../../src/ops/activation.ts";
import { adamwOp } from "../../../src/ops/adamw.ts";
import { addOp, divOp, mulOp, scaleOp } from "../../../src/ops/arithmetic.ts";
import { dropoutOp } from "../../../src/ops/dropout.ts";
import { clipFactorOp, sumOfSquaresOp } from "../../../src/ops/gradientNorm.ts";
import { layerNormOp } from "../../../src/ops/layerNorm.ts";
import { argmaxOp, maxOp, meanOp, sumOp } from "../../../src/ops/reduce.ts";
import { concatOps, sliceOp, splitOps, transposeOp } from "../../../src/ops/reshape.ts";
import { rmsNormOp } from "../../../src/ops/rmsNorm.ts";
import type { Op } from "../../../src/tensor/op.ts";
import { elementsOf } from "../../../src/tensor/shape.ts";
import { compareCalls, type Input, normals } from "../../compareCalls.ts";

/** What every WebGPU device has, and no more. */
const device = await openDevice({ device: "webgpu", gpu: { defaultLimits: true, subgroups: false } });
after(() => device.dispose());

/** Sums of up to 4099 numbers in f32, and what becomes of them. */
const SUMS = 5e-5;

const positive = (input: Input): Input => ({
  ...input,
  values: Array.from(input.values, (x) => x * x + 0.5),
});
const numbers = (...values: number[]): Input => ({ shape: [values.length], values });
const parts = (count: number, rows: number) =>
  Array.from({ length: count }, (_, i) => normals(i, rows, i + 1));

/** Calls whose buffers end between vectors of four. */
const calls: readonly [Op<never>, (Input | null)[], unknown][] = [
  [siluOp, [normals(1, 4099)], null],
  [geluOp, [normals(1, 1027)], null],
  [addOp, [normals(1, 7, 37), normals(2, 37)], null],
  [addOp, [normals(1, 7, 40), normals(2, 40)], null],
  [mulOp, [normals(1, 4099), normals(2, 1)], null],
  [mulOp, [normals(1, 3, 45), normals(2, 3, 1)], null],
  [mulOp, [normals(1, 3, 5, 12), normals(2, 3, 1, 12)], null],
  [divOp, [normals(1, 5, 1, 3), positive(normals(2, 1, 7, 3))], null],
  [scaleOp, [normals(1, 1027)], { factor: -1.5 }],
  [sumOp, [normals(1, 4099)], { axis: null }],
  [sumOp, [normals(1, 9, 41)], { axis: 0 }],
  [meanOp, [normals(1, 9, 41)], { axis: 1 }],
  [meanOp, [normals(1, 3, 700, 4)], { axis: 1 }],
  [maxOp, [normals(1, 9, 41)], { axis: 0 }],
  [maxOp, [normals(1, 4099)], { axis: null }],
  [argmaxOp, [normals(1, 9, 41)], null],
  [sliceOp, [normals(1, 5, 31)], { axis: 1, start: 3, end: 20 }],
  [sliceOp, [normals(1, 5, 32)], { axis: 1, start: 4, end: 20 }],
  [splitOps[6], [normals(1, 5, 36)], { widths: [1, 2, 3, 4, 5, 6, 7, 8] }],
  [splitOps[1], [normals(1, 5, 36)], { widths: [8, 12, 16] }],
  [concatOps[6], parts(8, 3), { axis: 1 }],
  [transposeOp, [normals(1, 3, 35, 66)], null],
  [rmsNormOp, [normals(1, 21, 37), normals(2, 37)], { epsilon: 1e-5 }],
  [layerNormOp, [normals(1, 21, 37), normals(2, 37), normals(3, 37)], { epsilon: 1e-5 }],
  [layerNormOp, [normals(1, 21, 36), normals(2, 36), normals(3, 36)], { epsilon: 1e-5 }],
  [dropoutOp, [normals(1, 4099), { ...numbers(1, 2), integer: true }], { rate: 0.4 }],
  [
    adamwOp,
    [
      normals(1, 1027),
      normals(2, 1027),
      normals(3, 1027),
      positive(normals(4, 1027)),
      numbers(0.1, 2, 1.5),
      numbers(0.5),
    ],
    { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 },
  ],
  [sumOfSquaresOp, [normals(1, 4099), normals(2, 1)], null],
  [clipFactorOp, [numbers(30)], { maxNorm: 1 }],
];

/** Leaves memory behind that is full of NaN, for the tensors of the call. */
function soil(op: Op<never>, inputs: readonly (Input | null)[], options: unknown): void {
  const shapes = inputs.map((input) => input?.shape ?? null);
  const { outputs } = op.shapes(shapes, options as never);
  const lengths = [...shapes, ...outputs].map((shape) => 4 * Math.ceil(elementsOf(shape ?? []) / 4));
  for (const length of new Set(lengths)) {
    const nan = new Float32Array(length).fill(NaN);
    const tensors = Array.from({ length: 8 }, () => device.tensor(nan));
    for (const tensor of tensors) tensor.free();
  }
}

test("with the default limits every op computes the same, whatever lies in the padding of its buffers", async () => {
  assert.ok(device.backend instanceof WebGpuBackend);
  assert.equal(device.backend.gpu.storageBuffers, 8);
  for (const [op, inputs, options] of calls) {
    soil(op, inputs, options);
    await compareCalls(device, op, inputs, options as never, SUMS);
  }
});
