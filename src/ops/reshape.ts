import { apply, defineOp, type Op } from "../tensor/op.ts";
import { type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The most tensors that one split makes or one concat takes. */
export const mostParts = 8;

/** y = u[…, start:end, …] along `axis`. u: (outer, n, inner), y: (outer, end − start, inner). */
export const sliceOp = defineOp<{ axis: number; start: number; end: number }>({
  name: "slice",
  inputs: ["u"],
  outputs: ["y"],
  shapes([u], options) {
    const { start, end } = options;
    const { axis, outer, n, inner } = aroundAxis("slice", u!, options.axis); // u is not optional
    if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end <= n)) {
      throw new ShapeError(
        `slice: must have 0 ≤ start ≤ end ≤ ${n}, the size of axis ${axis}, got start ${start} and end ${end}`,
      );
    }
    return {
      sizes: { rows: outer, before: start * inner, width: (end - start) * inner, after: (n - end) * inner },
      outputs: [u!.with(axis, end - start)],
    };
  },
  forward([u], [y], { rows, before, width, after }) {
    const stride = before + width + after;
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < width; i++) y[row * width + i] = u![row * stride + before + i];
  },
  backward(_inputs, _outputs, [dy], [du], { rows, before, width, after }) {
    const stride = before + width + after;
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < width; i++) du[row * stride + before + i] += dy[row * width + i];
  },
});

/** The last axis cut into parts: split2 … split8, named by how many. u: (rows, Σ width), part: (rows, width). */
export const splitOps = arities((count): Op<{ widths: readonly number[] }> => ({
  name: `split${count}`,
  inputs: ["u"],
  outputs: Array.from({ length: count }, (_, i) => `part${i}`),
  shapes([u], { widths }) {
    const width = u!.at(-1); // u is not optional
    const whole = widths.every((part) => Number.isInteger(part) && part > 0);
    if (!whole || widths.reduce((a, b) => a + b, 0) !== width) {
      throw new ShapeError(
        `split: sizes must be whole, positive and add up to the last axis of (${u!.join(", ")}), got ${widths.join(", ")}`,
      );
    }
    const outer = u!.slice(0, -1);
    return {
      sizes: { rows: outer.reduce((a, b) => a * b, 1), ...named(widths) },
      outputs: widths.map((part) => [...outer, part]),
    };
  },
  forward([u], parts, sizes) {
    walk(count, sizes, (part, i, j) => {
      parts[part][i] = u![j];
    });
  },
  backward(_inputs, _outputs, partGrads, [du], sizes) {
    walk(count, sizes, (part, i, j) => {
      du[j] += partGrads[part][i];
    });
  },
}));

/** Tensors one after the other along `axis`: concat2 … concat8. part: (rows, width), y: (rows, Σ width). */
export const concatOps = arities((count): Op<{ axis: number }> => ({
  name: `concat${count}`,
  inputs: Array.from({ length: count }, (_, i) => `part${i}`),
  outputs: ["y"],
  shapes(parts, options) {
    const first = parts[0]!; // no part is optional
    const { axis, outer, inner } = aroundAxis("concat", first, options.axis);
    for (const [i, part] of parts.entries()) {
      if (part!.length === first.length && part!.every((size, k) => k === axis || size === first[k]))
        continue;
      throw new ShapeError(
        `concat: part ${i} must have the shape of part 0, (${first.join(", ")}), but for axis ${axis}, got (${part!.join(", ")})`,
      );
    }
    const sizes = parts.map((part) => part![axis]);
    return {
      sizes: { rows: outer, ...named(sizes.map((size) => size * inner)) },
      outputs: [
        first.with(
          axis,
          sizes.reduce((a, b) => a + b, 0),
        ),
      ],
    };
  },
  forward(parts, [y], sizes) {
    walk(count, sizes, (part, i, j) => {
      y[j] = parts[part]![i];
    });
  },
  backward(_inputs, _outputs, [dy], partGrads, sizes) {
    walk(count, sizes, (part, i, j) => {
      partGrads[part][i] += dy[j];
    });
  },
}));

/** The last two axes exchanged. u: (outer, n, m), y: (outer, m, n). */
export const transposeOp = defineOp<null>({
  name: "transpose",
  inputs: ["u"],
  outputs: ["y"],
  shapes([u]) {
    if (u!.length < 2) {
      throw new ShapeError(`transpose: u must have at least 2 axes, got (${u!.join(", ")})`);
    }
    const outer = u!.slice(0, -2);
    const [n, m] = u!.slice(-2);
    return { sizes: { outer: outer.reduce((a, b) => a * b, 1), n, m }, outputs: [[...outer, m, n]] };
  },
  forward([u], [y], { outer, n, m }) {
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < n; i++)
        for (let j = 0; j < m; j++) y[(o * m + j) * n + i] = u![(o * n + i) * m + j];
  },
  backward(_inputs, _outputs, [dy], [du], { outer, n, m }) {
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < n; i++)
        for (let j = 0; j < m; j++) du[(o * n + i) * m + j] += dy[(o * m + j) * n + i];
  },
});

export function slice(u: Tensor, axis: number, start: number, end: number): Tensor {
  return apply(sliceOp, [u], { axis, start, end })[0];
}

/** Cuts the last axis into parts of the given sizes. */
export function split(u: Tensor, sizes: readonly number[]): Tensor[] {
  return apply(ofArity("split", splitOps, sizes.length), [u], { widths: sizes });
}

export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  return apply(ofArity("concat", concatOps, tensors.length), tensors, { axis })[0];
}

export function transpose(u: Tensor): Tensor {
  return apply(transposeOp, [u], null)[0];
}

/** A shape seen from one of its axes: (outer, n, inner). A negative axis counts from the end. */
export function aroundAxis(
  where: string,
  shape: Shape,
  axis: number,
): { axis: number; outer: number; n: number; inner: number } {
  const rank = shape.length;
  if (!(Number.isInteger(axis) && -rank <= axis && axis < rank)) {
    throw new ShapeError(
      `${where}: axis must be a whole number from ${-rank} to ${rank - 1} for (${shape.join(", ")}), got ${axis}`,
    );
  }
  const at = axis < 0 ? axis + rank : axis;
  const product = (sizes: Shape) => sizes.reduce((a, b) => a * b, 1);
  return { axis: at, outer: product(shape.slice(0, at)), n: shape[at], inner: product(shape.slice(at + 1)) };
}

/** One op for each number of parts, from 2 to the most. */
function arities<Options>(op: (count: number) => Op<Options>): Op<Options>[] {
  return Array.from({ length: mostParts - 1 }, (_, i) => defineOp(op(i + 2)));
}

function ofArity<Options>(where: string, ops: readonly Op<Options>[], count: number): Op<Options> {
  const op = ops[count - 2];
  if (op === undefined) throw new ShapeError(`${where}: must have 2 to ${mostParts} parts, got ${count}`);
  return op;
}

/** w0, w1, …: the widths of the parts in a row of the whole. */
function named(widths: readonly number[]): Record<string, number> {
  return Object.fromEntries(widths.map((width, i) => [`w${i}`, width]));
}

/** Visits every element: its part, its index in the part, its index in the whole. */
function walk(
  count: number,
  sizes: Readonly<Record<string, number>>,
  visit: (part: number, i: number, j: number) => void,
): void {
  let j = 0;
  for (let row = 0; row < sizes.rows; row++) {
    for (let part = 0; part < count; part++) {
      const width = sizes[`w${part}`];
      for (let i = 0; i < width; i++) visit(part, row * width + i, j++);
    }
  }
}
