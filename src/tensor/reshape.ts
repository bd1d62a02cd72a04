import { apply, defineOp } from "./op.ts";
import { elementsOf, type Shape, ShapeError } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** The same numbers, row-major, under another shape. No memory moves. */
export const reshapeOp = defineOp<{ shape: Shape }>({
  name: "reshape",
  inputs: ["u"],
  outputs: ["y"],
  alias: true,
  shapes([u], { shape }) {
    const size = elementsOf(u!); // u is not optional
    if (elementsOf(shape) !== size) {
      throw new ShapeError(
        `reshape: (${u!.join(", ")}) has ${size} elements, (${shape.join(", ")}) has ${elementsOf(shape)}`,
      );
    }
    return { sizes: { size }, outputs: [shape] };
  },
  forward() {},
  backward(_inputs, _outputs, [dy], [du], { size }) {
    for (let i = 0; i < size; i++) du[i] += dy[i];
  },
});

export function reshape(u: Tensor, shape: Shape): Tensor {
  return apply(reshapeOp, [u], { shape })[0];
}
