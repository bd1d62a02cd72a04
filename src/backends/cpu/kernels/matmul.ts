import type { Sizes } from "../../../tensor/op.ts";
import type { Kernel, KernelSet, Machine } from "./table.ts";

/** What a kernel needs to know of one product to cut it: C (rows, columns), `batch` times. */
interface Product {
  readonly batch: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly transposeB: boolean;
}

const forward: Kernel = {
  passes: (sizes, machine) => [{ symbol: "matmulForward", tasks: tasksOf(forwardOf(sizes), machine) }],
  scratch: scratchFloats,
  work: (sizes) => workOf(forwardOf(sizes)),
};

const backward: Kernel = {
  passes: (sizes, machine) => [
    {
      symbol: "matmulBackward",
      tasks: backwardOf(sizes).reduce((sum, product) => sum + tasksOf(product, machine), 0),
    },
  ],
  scratch: scratchFloats,
  work: (sizes) => backwardOf(sizes).reduce((sum, product) => sum + workOf(product), 0),
};

export const matmul: KernelSet = {
  symbols: ["matmulForward", "matmulBackward"],
  sizes: ["batch", "rows", "inner", "columns", "transposeA", "transposeB"],
  forward,
  backward,
};

function forwardOf({ batch, rows, inner, columns, transposeB }: Sizes): Product {
  return { batch, rows, inner, columns, transposeB: transposeB === 1 };
}

/** da and db, as matmul.c forms them. */
function backwardOf({ batch, rows, inner, columns, transposeA, transposeB }: Sizes): Product[] {
  const da = transposeA
    ? { batch, rows: inner, inner: columns, columns: rows, transposeB: true }
    : { batch, rows, inner: columns, columns: inner, transposeB: transposeB === 0 };
  const db = transposeB
    ? { batch, rows: columns, inner: rows, columns: inner, transposeB: transposeA === 1 }
    : { batch, rows: inner, inner: rows, columns, transposeB: false };
  return [da, db];
}

/** How many blocks of C there are: what `gridOf` in matmul.c says. */
function tasksOf({ batch, rows, columns, transposeB }: Product, _machine: Machine): number {
  if (rows <= 16 && !transposeB) {
    return batch * Math.min(Math.ceil(columns / 64), Math.max(Math.ceil(columns / 1024), 8));
  }
  let columnBlocks = Math.ceil(columns / 256);
  const rowBlocks = Math.min(
    Math.max(Math.ceil(16 / (batch * columnBlocks)), Math.ceil(rows / 96)),
    Math.ceil(rows / 24),
  );
  if (batch * rowBlocks * columnBlocks < 8) {
    columnBlocks = Math.min(Math.ceil(columns / 64), Math.ceil(8 / (batch * rowBlocks)));
  }
  return batch * rowBlocks * columnBlocks;
}

/** `scratchFloats` of matmul.c, for each thread. */
function scratchFloats(_sizes: Sizes, { threads, lanes }: Machine): number {
  const tileRows = lanes === 16 ? 12 : lanes === 8 ? 6 : 4;
  const tileColumns = 2 * lanes;
  const packedA = (Math.floor(96 / tileRows) + 1) * 256 * Math.max(lanes, tileRows) * 2;
  const packedB = (256 + lanes) * tileColumns;
  return threads * (packedA + packedB + tileRows * tileColumns);
}

/** A multiplication in a tile costs a sixteenth of an operation elsewhere; few rows cost the reading of b. */
function workOf({ batch, rows, inner, columns }: Product): number {
  return batch * Math.max((rows * inner * columns) / 16, inner * columns);
}
