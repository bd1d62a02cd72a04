import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp, type Op, type Shapes, type Sizes } from "../tensor/op.ts";
import { elementsOf, type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { aroundAxis } from "./reshape.ts";

/** Which axis to reduce; null reduces over all elements, to shape (1). */
interface Along {
  readonly axis: number | null;
}

/**
 * Sum and mean along one axis, or of everything.
 *   u (outer, n, inner)      y (outer, inner)
 * Du = dy, repeated along the axis; for the mean divided by n.
 */
export const sumOp = linear("sum", () => 1);
export const meanOp = linear("mean", (n) => 1 / n);

/**
 * The largest element along one axis, or of everything; NaN where there is one, as in NumPy.
 *   u (outer, n, inner)      y (outer, inner)
 */
export const maxOp = defineOp<Along>({
  name: "max",
  inputs: ["u"],
  outputs: ["y"],
  shapes([u], along) {
    const shapes = reduced("max", u!, along); // u is not optional
    if (shapes.sizes.n === 0) throw new ShapeError(`max: (${u!.join(", ")}) has no elements to compare`);
    return shapes;
  },
  forward([u], [y], sizes) {
    lines(sizes, (line, first, n, stride) => {
      y[line] = u![first + stride * firstMaximum(u!, first, n, stride)];
    });
  },
  // The gradient goes to the first of equal maxima.
  backward([u], _outputs, [dy], [du], sizes) {
    lines(sizes, (line, first, n, stride) => {
      du[first + stride * firstMaximum(u!, first, n, stride)] += dy[line];
    });
  },
});

/** The index of the largest element of each row: the lowest of equal ones, and of the first NaN if there is one. */
export const argmaxOp = defineOp<null>({
  name: "argmax",
  inputs: ["u"],
  outputs: ["index"],
  shapes([u]) {
    const n = u!.at(-1); // u is not optional
    if (!n) throw new ShapeError(`argmax: (${u!.join(", ")}) has no elements to compare`);
    const outer = u!.slice(0, -1);
    return {
      sizes: { rows: elementsOf(outer), n },
      outputs: [outer.length === 0 ? [1] : outer],
      dtypes: ["i32"],
    };
  },
  forward([u], [index], { rows, n }) {
    for (let row = 0; row < rows; row++) index[row] = firstMaximum(u!, row * n, n, 1);
  },
});

/** Over `axis`, which is gone from the result; without one over everything, to shape (1). */
export function sum(u: Tensor, axis?: number): Tensor {
  return apply(sumOp, [u], { axis: axis ?? null })[0];
}

/** Over `axis`, which is gone from the result; without one over everything, to shape (1). */
export function mean(u: Tensor, axis?: number): Tensor {
  return apply(meanOp, [u], { axis: axis ?? null })[0];
}

/** Over `axis`, which is gone from the result; without one over everything, to shape (1). */
export function max(u: Tensor, axis?: number): Tensor {
  return apply(maxOp, [u], { axis: axis ?? null })[0];
}

/** Over the last axis, as integers. It has no gradient. */
export function argmax(u: Tensor): Tensor {
  return apply(argmaxOp, [u], null)[0];
}

/** The op that adds up an axis of n elements and multiplies by weight(n). */
function linear(name: string, weight: (n: number) => number): Op<Along> {
  return defineOp<Along>({
    name,
    inputs: ["u"],
    outputs: ["y"],
    shapes: ([u], along) => reduced(name, u!, along), // u is not optional
    forward([u], [y], sizes) {
      lines(sizes, (line, first, n, stride) => {
        let total = 0;
        for (let i = 0; i < n; i++) total += u![first + stride * i];
        y[line] = weight(n) * total;
      });
    },
    backward(_inputs, _outputs, [dy], [du], sizes) {
      lines(sizes, (line, first, n, stride) => {
        for (let i = 0; i < n; i++) du[first + stride * i] += weight(n) * dy[line];
      });
    },
  });
}

function reduced(where: string, u: Shape, { axis }: Along): Shapes {
  if (axis === null) return { sizes: { outer: 1, n: elementsOf(u), inner: 1 }, outputs: [[1]] };
  const { axis: at, ...sizes } = aroundAxis(where, u, axis);
  const shape = u.toSpliced(at, 1);
  return { sizes, outputs: [shape.length === 0 ? [1] : shape] };
}

/** Visits every element of y: its index, and where the n elements of u lie that it is made of. */
function lines(
  { outer, n, inner }: Sizes,
  visit: (line: number, first: number, n: number, stride: number) => void,
): void {
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) visit(o * inner + i, o * n * inner + i, n, inner);
}

/** The position of the first NaN among n numbers, or else of the first of the largest. */
function firstMaximum(u: Numbers, first: number, n: number, stride: number): number {
  let best = 0;
  for (let i = 0; i < n; i++) {
    const value = u[first + stride * i];
    if (Number.isNaN(value)) return i;
    if (value > u[first + stride * best]) best = i;
  }
  return best;
}
