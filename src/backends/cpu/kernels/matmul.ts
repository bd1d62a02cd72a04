import type { Sizes } from "../../../tensor/op.ts";
import type { Kernel, KernelSet, Machine, Pass } from "./table.ts";

/** One product C = A B, C (rows, columns), `batch` times. */
interface Product {
  readonly batch: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** B lies as (columns, inner). */
  readonly transposeB: boolean;
}

export const matmul: KernelSet = {
  symbols: ["matmulForward", "matmulBackward"],
  sizes: ["batch", "rows", "inner", "columns", "transposeA", "transposeB"],
  forward: kernelOf("matmulForward", forwardProducts),
  backward: kernelOf("matmulBackward", backwardProducts),
};

function kernelOf(symbol: string, productsOf: (sizes: Sizes) => readonly Product[]): Kernel {
  return {
    passes: (sizes, machine) => passesOf(symbol, productsOf(sizes), machine),
    scratch: (sizes, machine) => scratchFloats(productsOf(sizes), machine),
    work: (sizes) => productsOf(sizes).reduce((sum, product) => sum + workOf(product), 0),
  };
}

function forwardProducts({ batch, rows, inner, columns, transposeB }: Sizes): Product[] {
  return [{ batch, rows, inner, columns, transposeB: transposeB === 1 }];
}

/** da and db, or their transposes. */
function backwardProducts({ batch, rows, inner, columns, transposeA, transposeB }: Sizes): Product[] {
  return [
    transposeA
      ? { batch, rows: inner, inner: columns, columns: rows, transposeB: true }
      : { batch, rows, inner: columns, columns: inner, transposeB: transposeB === 0 },
    transposeB
      ? { batch, rows: columns, inner: rows, columns: inner, transposeB: transposeA === 1 }
      : { batch, rows: inner, inner: rows, columns, transposeB: false },
  ];
}

// What follows says how matmul.c cuts a product, and must say the same: constants are those of matmul.h.

interface Grid {
  readonly rowBlocks: number;
  /** Units of columns, in all matrices of the batch. */
  readonly units: number;
  readonly unitsPerChunk: number;
  /** Chunks of inner, one after the other on the same units. */
  readonly innerChunks: number;
  /** Floats of the packed panels of one unit; 0 if this product needs no panels. */
  readonly unitFloats: number;
}

const [innerBlock, outerBlock, mostRows, mostColumns, packParts, chunkFloats] = [
  256,
  512,
  96,
  512,
  4,
  2 ** 20,
];

function gridOf({ batch, rows, inner, columns, transposeB }: Product, { lanes }: Machine): Grid {
  const narrow = columns <= 512;
  const small = columns <= 128 || (narrow && inner <= 1024);
  if (rows <= (narrow ? 4 : 8) && !transposeB) {
    const most = columns > 8192 ? Math.ceil(columns / 2048) : columns > 2048 ? 4 : 2;
    const units = batch * Math.min(Math.ceil(columns / 64), most);
    return { rowBlocks: 1, units, unitsPerChunk: units, innerChunks: 1, unitFloats: 0 };
  }
  let rowBlocks = Math.ceil(rows / mostRows);
  let columnBlocks = Math.ceil(columns / mostColumns);
  if (rows <= (small ? 512 : 48) && !transposeB) {
    if (batch * rowBlocks * columnBlocks < 4) {
      columnBlocks = Math.min(Math.ceil(columns / 64), Math.ceil(4 / (batch * rowBlocks)));
    }
    if (batch * rowBlocks * columnBlocks < 4) {
      rowBlocks = Math.min(Math.ceil(rows / 32), Math.ceil(4 / (batch * columnBlocks)));
    }
    const units = batch * columnBlocks;
    return { rowBlocks, units, unitsPerChunk: units, innerChunks: 1, unitFloats: 0 };
  }
  const units = batch * columnBlocks;
  const innerChunks = Math.ceil(inner / outerBlock);
  const tileColumns = 2 * lanes;
  const panels = Math.ceil(Math.ceil(columns / tileColumns) / columnBlocks);
  const unitFloats = panels * tileColumns * Math.ceil(inner / innerChunks);
  const unitsPerChunk = Math.min(units, Math.max(1, Math.floor(chunkFloats / unitFloats)));
  if (unitsPerChunk * rowBlocks < 8) {
    rowBlocks = Math.min(Math.ceil(rows / 24), Math.ceil(8 / unitsPerChunk));
  }
  return { rowBlocks, units, unitsPerChunk, innerChunks, unitFloats };
}

function passesOf(symbol: string, products: readonly Product[], machine: Machine): Pass[] {
  const grids = products.map((product) => ({ ...product, ...gridOf(product, machine) }));
  const unitsIn = (grid: Grid, chunk: number) =>
    Math.max(
      0,
      Math.min(grid.unitsPerChunk, grid.units - Math.floor(chunk / grid.innerChunks) * grid.unitsPerChunk),
    );
  const chunks = Math.max(
    ...grids.map(({ units, unitsPerChunk, innerChunks }) => Math.ceil(units / unitsPerChunk) * innerChunks),
  );
  const packs = grids.some(({ unitFloats }) => unitFloats > 0);
  return Array.from({ length: chunks }, (_, chunk) => {
    const packing = grids.map((grid) => (grid.unitFloats > 0 ? unitsIn(grid, chunk) * packParts : 0));
    const blocks = grids.map((grid) => unitsIn(grid, chunk) * grid.rowBlocks);
    return [...(packs ? [sum(packing)] : []), sum(blocks)].map((tasks) => ({ symbol, tasks }));
  }).flat();
}

/** The panels of each product, then the packed rows, edge and last panel of each thread. */
function scratchFloats(products: readonly Product[], machine: Machine): number {
  const panels = products.map((product) => {
    const { unitsPerChunk, unitFloats } = gridOf(product, machine);
    return unitsPerChunk * unitFloats;
  });
  const tileColumns = 2 * machine.lanes;
  const perThread =
    outerBlock * (mostRows + 16) + mostRows * tileColumns + (innerBlock + machine.lanes) * tileColumns;
  return sum(panels) + machine.threads * perThread;
}

/** Of operations elsewhere: a tile does 16 multiplications in the time of one, few rows read 4 floats of B in it. */
function workOf({ batch, rows, inner, columns }: Product): number {
  return (batch * inner * columns * Math.max(rows / 4, 1)) / 4;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
