import { apply, defineOp, type Op, type Sizes } from "../tensor/op.ts";
import { elementsOf, type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * a + b, a − b, a ⊙ b, a / b with the broadcasting of NumPy: shapes are aligned at the last axis, and an axis that is
 * missing or of size 1 is repeated. Gradients are summed over what was repeated.
 *   a, b any two shapes that agree where neither is 1      y their common shape
 */
export const addOp = binary(
  "add",
  (a, b) => a + b,
  () => 1,
  () => 1,
);

export const subOp = binary(
  "sub",
  (a, b) => a - b,
  () => 1,
  () => -1,
);

export const mulOp = binary(
  "mul",
  (a, b) => a * b,
  (_a, b) => b,
  (a) => a,
);

export const divOp = binary(
  "div",
  (a, b) => a / b,
  (_a, b) => 1 / b,
  (a, b) => -a / b / b,
);

/** y = factor · u, for a number that is known when the op is called. */
export const scaleOp = defineOp<{ factor: number }>({
  name: "scale",
  inputs: ["u"],
  outputs: ["y"],
  shapes: ([u], { factor }) => ({ sizes: { size: elementsOf(u!), factor }, outputs: [u!] }), // u is not optional
  forward([u], [y], { size, factor }) {
    for (let i = 0; i < size; i++) y[i] = factor * u![i];
  },
  backward(_inputs, _outputs, [dy], [du], { size, factor }) {
    for (let i = 0; i < size; i++) du[i] += factor * dy[i];
  },
});

/** y = u + c, for a number that is known when the op is called. */
export const addScalarOp = defineOp<{ c: number }>({
  name: "addScalar",
  inputs: ["u"],
  outputs: ["y"],
  shapes: ([u], { c }) => ({ sizes: { size: elementsOf(u!), c }, outputs: [u!] }), // u is not optional
  forward([u], [y], { size, c }) {
    for (let i = 0; i < size; i++) y[i] = u![i] + c;
  },
  backward(_inputs, _outputs, [dy], [du], { size }) {
    for (let i = 0; i < size; i++) du[i] += dy[i];
  },
});

export function add(a: Tensor, b: Tensor): Tensor {
  return apply(addOp, [a, b], null)[0];
}

export function sub(a: Tensor, b: Tensor): Tensor {
  return apply(subOp, [a, b], null)[0];
}

export function mul(a: Tensor, b: Tensor): Tensor {
  return apply(mulOp, [a, b], null)[0];
}

export function div(a: Tensor, b: Tensor): Tensor {
  return apply(divOp, [a, b], null)[0];
}

export function scale(u: Tensor, factor: number): Tensor {
  return apply(scaleOp, [u], { factor })[0];
}

export function addScalar(u: Tensor, c: number): Tensor {
  return apply(addScalarOp, [u], { c })[0];
}

/** The op y = value(a, b), whose slopes are ∂y/∂a and ∂y/∂b. */
function binary(
  name: string,
  value: (a: number, b: number) => number,
  slopeA: (a: number, b: number) => number,
  slopeB: (a: number, b: number) => number,
): Op<null> {
  return defineOp<null>({
    name,
    inputs: ["a", "b"],
    outputs: ["y"],
    shapes: ([a, b]) => broadcast(name, a!, b!), // neither is optional
    forward([a, b], [y], sizes) {
      walk(sizes, (i, j, k) => {
        y[i] = value(a![j], b![k]);
      });
    },
    backward([a, b], _outputs, [dy], [da, db], sizes) {
      walk(sizes, (i, j, k) => {
        da[j] += dy[i] * slopeA(a![j], b![k]);
        db[k] += dy[i] * slopeB(a![j], b![k]);
      });
    },
  });
}

/** Visits every element of y in order: its index, and the indices of the elements of a and b that it comes from. */
function walk(sizes: Sizes, visit: (y: number, a: number, b: number) => void): void {
  const { n0, n1, n2, n3, a0, a1, a2, a3, b0, b1, b2, b3 } = sizes;
  let y = 0;
  for (let i = 0; i < n0; i++)
    for (let j = 0; j < n1; j++)
      for (let k = 0; k < n2; k++)
        for (let l = 0; l < n3; l++)
          visit(y++, i * a0 + j * a1 + k * a2 + l * a3, i * b0 + j * b1 + k * b2 + l * b3);
}

/** An axis of y, and whether a and b have it or repeat along it. */
interface Axis {
  size: number;
  readonly inA: boolean;
  readonly inB: boolean;
}

/**
 * The common shape, and y as four axes n0 … n3 with the strides of a and b along each (0: repeated). Neighbouring axes
 * along which both do the same are one, axes of size 1 are none: equal shapes leave n3 alone.
 */
function broadcast(name: string, a: Shape, b: Shape): { sizes: Sizes; outputs: Shape[] } {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  const axes: Axis[] = [];
  for (let i = 0; i < rank; i++) {
    const inA = a[i - rank + a.length] ?? 1;
    const inB = b[i - rank + b.length] ?? 1;
    if (inA !== inB && inA !== 1 && inB !== 1) {
      throw new ShapeError(
        `${name}: a and b must agree in every axis where neither is 1, got (${a.join(", ")}) and (${b.join(", ")})`,
      );
    }
    const size = inA === 1 ? inB : inA;
    shape.push(size);
    if (size === 1) continue;
    const last = axes.at(-1);
    if (last && last.inA === (inA !== 1) && last.inB === (inB !== 1)) last.size *= size;
    else axes.push({ size, inA: inA !== 1, inB: inB !== 1 });
  }
  if (axes.length > 4) {
    throw new ShapeError(
      `${name}: (${a.join(", ")}) and (${b.join(", ")}) repeat along too many axes. Reshape them to at most 4.`,
    );
  }
  while (axes.length < 4) axes.unshift({ size: 1, inA: false, inB: false });

  const sizes: Record<string, number> = {};
  let strideA = 1;
  let strideB = 1;
  for (const [i, { size, inA, inB }] of [...axes.entries()].reverse()) {
    sizes[`n${i}`] = size;
    sizes[`a${i}`] = inA ? strideA : 0;
    sizes[`b${i}`] = inB ? strideB : 0;
    if (inA) strideA *= size;
    if (inB) strideB *= size;
  }
  return { sizes, outputs: [shape] };
}
