import assert from "node:assert/strict";
import { gradients } from "../src/tensor/autograd.ts";
import type { Device } from "../src/tensor/device.ts";
import type { Shape } from "../src/tensor/shape.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { exactDevice } from "./gradcheck.ts";

/** An input of an op under comparison. */
export interface Input {
  readonly shape: Shape;
  readonly values: ArrayLike<number>;
  readonly integer?: boolean;
}

/**
 * Runs `fn` on `device` and on the plain loops in float64, forward and backward (loss: Σ of all outputs, each weighted
 * by cos of its index through `weigh`), and demands |x − g| ≤ tolerance · max(1, max|g|) of every output and gradient.
 */
export async function compareWithPlain(
  device: Device,
  inputs: readonly Input[],
  fn: (...inputs: Tensor[]) => Tensor[],
  weigh: (outputs: Tensor[]) => Tensor,
  tolerance: number,
): Promise<void> {
  const got = await evaluate(device, inputs, fn, weigh);
  const expected = await evaluate(exactDevice(), inputs, fn, weigh);
  for (const [name, values] of expected) {
    const actual = got.get(name);
    assert.ok(actual, `${device.name}: ${name} is missing`);
    const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    for (let i = 0; i < values.length; i++) {
      const gap = Math.abs(actual[i] - values[i]);
      assert.ok(
        gap <= tolerance * scale,
        `${device.name}: ${name}[${i}] is ${actual[i]}, must be ${values[i]}`,
      );
    }
  }
}

async function evaluate(
  device: Device,
  inputs: readonly Input[],
  fn: (...inputs: Tensor[]) => Tensor[],
  weigh: (outputs: Tensor[]) => Tensor,
): Promise<Map<string, number[]>> {
  const tensors = inputs.map(({ shape, values, integer }) =>
    integer ? device.integers(values, shape) : device.tensor(values, shape),
  );
  const floats = tensors.filter((_, i) => !inputs[i].integer);
  let outputs: Tensor[] = [];
  const { gradients: grads } = gradients(floats, () => weigh((outputs = fn(...tensors))));
  const results = new Map<string, number[]>();
  for (const [i, output] of outputs.entries()) results.set(`output ${i}`, [...(await output.read())]);
  for (const [i, tensor] of tensors.entries()) {
    const grad = grads.get(tensor);
    if (grad) results.set(`gradient of input ${i}`, [...(await grad.read())]);
  }
  return results;
}
