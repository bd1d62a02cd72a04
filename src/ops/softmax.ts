import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { lastAxis } from "./rmsNorm.ts";

/**
 * The softmax of each row.
 *   y[j] = exp(u[j] − max u) / Σ exp(u − max u)
 *   u, y (…, size)
 */
export const softmaxOp = defineOp<null>({
  name: "softmax",
  inputs: ["u"],
  outputs: ["y"],

  shapes([u]) {
    const { rows, size } = lastAxis("softmax", "u", "size", u!); // not optional
    return { sizes: { rows, size }, outputs: [u!] };
  },

  forward(inputs, [y], { rows, size }) {
    const [u] = inputs as readonly Numbers[];
    for (let at = 0; at < rows * size; at += size) {
      let most = -Infinity;
      for (let j = 0; j < size; j++) most = Math.max(most, u[at + j]);
      let sum = 0;
      for (let j = 0; j < size; j++) sum += Math.exp(u[at + j] - most);
      for (let j = 0; j < size; j++) y[at + j] = Math.exp(u[at + j] - most) / sum;
    }
  },

  // du = y (dy − Σ y dy)
  backward(_inputs, [y], [dy], [du], { rows, size }) {
    for (let at = 0; at < rows * size; at += size) {
      let sum = 0;
      for (let j = 0; j < size; j++) sum += y[at + j] * dy[at + j];
      for (let j = 0; j < size; j++) du[at + j] += y[at + j] * (dy[at + j] - sum);
    }
  },
});

/** The softmax over the last axis. */
export function softmax(u: Tensor): Tensor {
  return apply(softmaxOp, [u], null)[0];
}
