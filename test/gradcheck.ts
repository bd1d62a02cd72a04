import { plainBackend } from "../src/backends/plain.ts";
import { gradients } from "../src/tensor/autograd.ts";
import { Device } from "../src/tensor/device.ts";
import type { Shape } from "../src/tensor/shape.ts";
import type { Tensor } from "../src/tensor/tensor.ts";

/** A float64 device of plain loops. */
export function exactDevice(): Device {
  return new Device(plainBackend("f64"));
}

/**
 * Largest gap between `gradients` and central differences in float64, over every element of every input, for the loss
 * Σᵢ cos(i) yᵢ summed over all outputs of `fn`. `values` draws the i-th number of an input; inputs are `shapes`.
 */
export async function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor | Tensor[],
  shapes: readonly Shape[],
  values: (input: number, i: number) => number,
  weigh: (outputs: Tensor[]) => Tensor,
  eps = 1e-6,
): Promise<number> {
  const device = exactDevice();
  const inputs = shapes.map((shape, k) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return device.tensor(
      Float64Array.from({ length: size }, (_, i) => values(k, i)),
      shape,
    );
  });
  const loss = () => weigh([fn(...inputs)].flat());
  const { gradients: grads } = gradients(inputs, loss);
  let worst = 0;
  for (const input of inputs) {
    const kept = (await input.read()) as Float64Array;
    const grad = (await grads.get(input)?.read()) ?? new Float64Array(kept.length);
    for (let i = 0; i < kept.length; i++) {
      const at = async (value: number) => {
        input.write(kept.with(i, value));
        return await loss().item();
      };
      const slope = ((await at(kept[i] + eps)) - (await at(kept[i] - eps))) / (2 * eps);
      worst = Math.max(worst, Math.abs(slope - grad[i]));
    }
    input.write(kept);
  }
  return worst;
}
