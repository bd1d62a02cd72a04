import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { lastAxis } from "./rmsNorm.ts";

/**
 * Layer normalization (Ba, Kiros & Hinton 2016) of each row.
 *   y = g ⊙ x + b        x = (u − μ) r        μ = mean(u)        r = 1/√(mean((u − μ)²) + ε)
 *   u, y (…, dModel)     g: gain, b: bias (dModel)
 */
export const layerNormOp = defineOp<{ epsilon: number }>({
  name: "layerNorm",
  inputs: ["u", "gain", "bias"],
  outputs: ["y"],

  shapes([u, gain, bias], { epsilon }) {
    const { rows, size: dModel } = lastAxis("layerNorm", "u", "dModel", u!); // no input is optional
    expectShape("layerNorm", "gain", gain!, { dModel });
    expectShape("layerNorm", "bias", bias!, { dModel });
    return { sizes: { rows, dModel, epsilon }, outputs: [u!] };
  },

  forward(inputs, [y], { rows, dModel, epsilon }) {
    const [u, gain, bias] = inputs as readonly Numbers[];
    for (let at = 0; at < rows * dModel; at += dModel) {
      const { mean, r } = statistics(u, at, dModel, epsilon);
      for (let j = 0; j < dModel; j++) y[at + j] = gain[j] * (u[at + j] - mean) * r + bias[j];
    }
  },

  // du = r (g dy − mean(g dy) − x mean(g dy x))     dg = Σ over rows of dy x     db = Σ over rows of dy
  backward(inputs, _outputs, [dy], [du, dGain, dBias], { rows, dModel, epsilon }) {
    const [u, gain] = inputs as readonly Numbers[];
    for (let at = 0; at < rows * dModel; at += dModel) {
      const { mean, r } = statistics(u, at, dModel, epsilon);
      let sum = 0;
      let sumX = 0;
      for (let j = 0; j < dModel; j++) {
        const dx = gain[j] * dy[at + j];
        sum += dx;
        sumX += dx * (u[at + j] - mean) * r;
      }
      for (let j = 0; j < dModel; j++) {
        const x = (u[at + j] - mean) * r;
        du[at + j] += r * (gain[j] * dy[at + j] - (sum + x * sumX) / dModel);
        dGain[j] += dy[at + j] * x;
        dBias[j] += dy[at + j];
      }
    }
  },
});

/** @throws ShapeError when gain or bias is not one number per channel. */
export function layerNorm(u: Tensor, gain: Tensor, bias: Tensor, epsilon = 1e-5): Tensor {
  return apply(layerNormOp, [u, gain, bias], { epsilon })[0];
}

function statistics(u: Numbers, at: number, dModel: number, epsilon: number): { mean: number; r: number } {
  let sum = 0;
  for (let j = 0; j < dModel; j++) sum += u[at + j];
  const mean = sum / dModel;
  let squares = 0;
  for (let j = 0; j < dModel; j++) squares += (u[at + j] - mean) ** 2;
  return { mean, r: 1 / Math.sqrt(squares / dModel + epsilon) };
}
