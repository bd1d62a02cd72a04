import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp, type Shapes, type Sizes } from "../tensor/op.ts";
import { elementsOf, type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Which factors lie in memory with their last two axes swapped. */
export interface Transposes {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/**
 * The matrix product: one b for all of a, or a b for each matrix of a.
 *   y = a b
 *   a (…, rows, inner)      b (inner, columns), or (…, inner, columns) with the leading sizes of a
 *   y (…, rows, columns)
 * With one b, the leading sizes of a count as rows. Each element of y is one sum over inner = 0, 1, 2, … in this order,
 * so a row of a large product has the bits of the product of that row alone.
 */
export const matmulOp = defineOp<Transposes>({
  name: "matmul",
  inputs: ["a", "b"],
  outputs: ["y"],
  halves: ["b"],

  shapes([a, b], transposes) {
    return productShapes(a!, b!, transposes); // no input is optional
  },

  forward(inputs, [y], sizes) {
    const [a, b] = inputs as readonly Numbers[];
    eachProduct(sizes, (atA, atB, atY) => {
      y[atY] += a[atA] * b[atB];
    });
  },

  // da = dy bᵀ      db = aᵀ dy
  backward(inputs, _outputs, [dy], [da, db], sizes) {
    const [a, b] = inputs as readonly Numbers[];
    eachProduct(sizes, (atA, atB, atY) => {
      da[atA] += dy[atY] * b[atB];
      db[atB] += a[atA] * dy[atY];
    });
  },
});

/**
 * a b, where transposeA says that a lies as (…, inner, rows) and transposeB that b lies as (…, columns, inner).
 * @throws ShapeError when inner differs, b has leading sizes other than those of a, a transposed a of rank 3 or more
 * shares one b, or a size is 0.
 */
export function matmul(a: Tensor, b: Tensor, transposes: Transposes = {}): Tensor {
  return apply(matmulOp, [a, b], transposes)[0];
}

function productShapes(a: Shape, b: Shape, { transposeA = false, transposeB = false }: Transposes): Shapes {
  const namesA = transposeA ? "inner, rows" : "rows, inner";
  const namesB = transposeB ? "columns, inner" : "inner, columns";
  if (a.length < 2) {
    throw new ShapeError(`matmul: a must be (..., ${namesA}), got (${a.join(", ")})`);
  }
  const leading = a.slice(0, -2);
  const shared = b.length === 2;
  if (!shared && (b.length !== a.length || leading.some((size, i) => size !== b[i]))) {
    const batched = leading.length > 0 ? ` or (${leading.join(", ")}, ${namesB})` : "";
    throw new ShapeError(`matmul: b must be (${namesB})${batched}, got (${b.join(", ")})`);
  }
  if (shared && transposeA && leading.length > 0) {
    throw new ShapeError(
      `matmul: a must be (inner, rows) to be transposed and share one b, got (${a.join(", ")}). ` +
        "Give b the leading sizes of a.",
    );
  }
  const [rows, inner] = lastTwo(a, transposeA);
  const [innerB, columns] = lastTwo(b, transposeB);
  if (inner !== innerB) {
    const expected = [...b.slice(0, -2), ...(transposeB ? [columns, inner] : [inner, columns])];
    const names = shared ? namesB : `..., ${namesB}`;
    throw new ShapeError(
      `matmul: b must be (${names}) = (${expected.join(", ")}) for a (${a.join(", ")}), got (${b.join(", ")})`,
    );
  }
  if ([...a, ...b].some((size) => size < 1)) {
    throw new ShapeError(
      `matmul: every size must be at least 1, got a (${a.join(", ")}) and b (${b.join(", ")})`,
    );
  }
  const matrices = elementsOf(leading);
  return {
    sizes: {
      batch: shared ? 1 : matrices,
      rows: shared ? matrices * rows : rows,
      inner,
      columns,
      transposeA: transposeA ? 1 : 0,
      transposeB: transposeB ? 1 : 0,
    },
    outputs: [[...leading, rows, columns]],
  };
}

function lastTwo(shape: Shape, swapped: boolean): [number, number] {
  const [first, second] = shape.slice(-2);
  return swapped ? [second, first] : [first, second];
}

/** Visits every product of an element of a and one of b: where these two lie, and the element of y they add to. */
function eachProduct(
  { batch, rows, inner, columns, transposeA, transposeB }: Sizes,
  visit: (atA: number, atB: number, atY: number) => void,
): void {
  const [rowA, innerA] = transposeA ? [1, rows] : [inner, 1];
  const [innerB, columnB] = transposeB ? [1, inner] : [columns, 1];
  for (let n = 0; n < batch; n++) {
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < inner; k++) {
        const atA = n * rows * inner + row * rowA + k * innerA;
        const atB = n * inner * columns + k * innerB;
        const atY = (n * rows + row) * columns;
        for (let column = 0; column < columns; column++) visit(atA, atB + column * columnB, atY + column);
      }
    }
  }
}
