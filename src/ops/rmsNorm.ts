import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { elementsOf, expectShape, type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * RMS normalization (Zhang & Sennrich 2019, equation 4) of each row.
 *   y = g ⊙ u r          r = 1/√(mean(u²) + ε)
 *   u, y (…, dModel)     g: gain (dModel)
 */
export const rmsNormOp = defineOp<{ epsilon: number }>({
  name: "rmsNorm",
  inputs: ["u", "gain"],
  outputs: ["y"],

  shapes([u, gain], { epsilon }) {
    const { rows, size: dModel } = lastAxis("rmsNorm", "u", "dModel", u!); // no input is optional
    expectShape("rmsNorm", "gain", gain!, { dModel });
    return { sizes: { rows, dModel, epsilon }, outputs: [u!] };
  },

  forward(inputs, [y], { rows, dModel, epsilon }) {
    const [u, gain] = inputs as readonly Numbers[];
    for (let at = 0; at < rows * dModel; at += dModel) {
      const r = scale(u, at, dModel, epsilon);
      for (let j = 0; j < dModel; j++) y[at + j] = gain[j] * u[at + j] * r;
    }
  },

  // du = r (g dy − u r² mean(g dy u))     dg = Σ over rows of dy u r
  backward(inputs, _outputs, [dy], [du, dGain], { rows, dModel, epsilon }) {
    const [u, gain] = inputs as readonly Numbers[];
    for (let at = 0; at < rows * dModel; at += dModel) {
      const r = scale(u, at, dModel, epsilon);
      let sum = 0;
      for (let j = 0; j < dModel; j++) sum += gain[j] * dy[at + j] * u[at + j];
      const pull = (r * r * sum) / dModel;
      for (let j = 0; j < dModel; j++) {
        du[at + j] += r * (gain[j] * dy[at + j] - u[at + j] * pull);
        dGain[j] += dy[at + j] * u[at + j] * r;
      }
    }
  },
});

/** @throws ShapeError when gain is not one number per channel. */
export function rmsNorm(u: Tensor, gain: Tensor, epsilon = 1e-5): Tensor {
  return apply(rmsNormOp, [u, gain], { epsilon })[0];
}

/** The last axis of `shape`, called `name` in errors, and how many rows of that size there are. */
export function lastAxis(
  where: string,
  what: string,
  name: string,
  shape: Shape,
): { rows: number; size: number } {
  const size = shape.at(-1);
  if (size === undefined || size < 1) {
    throw new ShapeError(`${where}: ${what} must be (..., ${name}), got (${shape.join(", ")})`);
  }
  return { rows: elementsOf(shape) / size, size };
}

function scale(u: Numbers, at: number, dModel: number, epsilon: number): number {
  let sum = 0;
  for (let j = 0; j < dModel; j++) sum += u[at + j] * u[at + j];
  return 1 / Math.sqrt(sum / dModel + epsilon);
}
