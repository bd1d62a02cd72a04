import assert from "node:assert/strict";
import type { Numbers } from "../src/tensor/backend.ts";
import type { Device } from "../src/tensor/device.ts";
import type { Op } from "../src/tensor/op.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import type { Input } from "./compare.ts";
import { exactDevice } from "./gradcheck.ts";

/** Which gradients a backward call gets and is asked for, by position. Default: all. */
export interface Asked {
  readonly inputs?: readonly boolean[];
  readonly outputs?: readonly boolean[];
}

/**
 * Runs an op's forward and backward kernels on `device` and its plain loops in float64, from the same inputs (null: an
 * optional one left out), and demands of every number |x − g| ≤ tolerance · max(1, max|g|), NaN where g is NaN and the
 * same infinity. Backward runs twice, the second time onto what the gradients then hold.
 */
export async function compareCalls<Options>(
  device: Device,
  op: Op<Options>,
  inputs: readonly (Input | null)[],
  options: Options,
  tolerance = 2e-6,
  asked: Asked = {},
): Promise<void> {
  const got = await evaluate(device, op, inputs, options, asked);
  const expected = await evaluate(exactDevice(), op, inputs, options, asked);
  for (const [name, values] of expected)
    assertNear(`${device.name}: ${name}`, got.get(name)!, values, tolerance);
}

export function assertNear(what: string, got: Numbers, expected: Numbers, tolerance: number): void {
  assert.equal(got.length, expected.length, what);
  const scale = Math.max(1, ...Array.from(expected, Math.abs).filter(Number.isFinite));
  for (let i = 0; i < expected.length; i++) {
    const near = Math.abs(got[i] - expected[i]) <= tolerance * scale;
    if (near || Object.is(got[i], expected[i])) continue;
    assert.fail(`${what}[${i}] is ${got[i]}, must be ${expected[i]}`);
  }
}

/** All that the op computes, by name: outputs, updated inputs, and gradients of the outputs weighted by cos(i). */
export async function evaluate<Options>(
  device: Device,
  op: Op<Options>,
  inputs: readonly (Input | null)[],
  options: Options,
  asked: Asked = {},
): Promise<Map<string, Numbers>> {
  const { sizes, outputs } = op.shapes(
    inputs.map((input) => input?.shape ?? null),
    options,
  );
  const given = inputs.map(
    (input) =>
      input &&
      device.tensor(Float32Array.from(input.values), input.shape, input.integer ? "i32" : device.float),
  );
  const results = outputs.map((shape) => device.empty(shape));
  const buffers = (tensors: readonly (Tensor | null)[]) => tensors.map((tensor) => tensor?.buffer ?? null);
  const call = { op, sizes, inputs: buffers(given), outputs: buffers(results) };
  device.run({ ...call, pass: "forward", outputGrads: [], inputGrads: [], accumulate: [] });

  const found = new Map<string, Numbers>();
  for (const [i, result] of results.entries()) found.set(op.outputs[i], await result.read());
  for (const name of op.updates ?? []) found.set(name, await given[op.inputs.indexOf(name)]!.read());
  if (op.backward === undefined) return found;

  const weights = outputs.map((shape, i) =>
    asked.outputs?.[i] === false ? null : waves(device, shape, Math.cos),
  );
  const grads = inputs.map((input, i) =>
    input && !input.integer && asked.inputs?.[i] !== false ? waves(device, input.shape, Math.sin) : null,
  );
  for (const adds of [false, true]) {
    const accumulate = grads.map(() => adds);
    device.run({
      ...call,
      pass: "backward",
      outputGrads: buffers(weights),
      inputGrads: buffers(grads),
      accumulate,
    });
    for (const [i, grad] of grads.entries()) {
      if (grad) found.set(`gradient of ${op.inputs[i]}${adds ? ", twice" : ""}`, await grad.read());
    }
  }
  return found;
}

function waves(device: Device, shape: readonly number[], wave: (i: number) => number): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return device.tensor(
    Float32Array.from({ length: size }, (_, i) => wave(i)),
    shape,
  );
}
