/**
 * The three products of a matmul, each by the way that its sizes ask for: few rows by gemv.ts, all others by tiles
 * (gemm.ts), as large as leave work for the whole GPU. A gradient is a product of the same kind whose factors lie the
 * other way.
 */
import type { Gpu, KernelCall, KernelSet, Schedule } from "../kernel.ts";
import { gemm, tilesOf } from "./gemm.ts";
import { invocationsOf, type Tile } from "./gemmTile.ts";
import { gemv, mostRows } from "./gemv.ts";
import type { Extent, Product } from "./product.ts";
import { onTensorCores, tensorCores } from "./tensorCores.ts";

/** Tiles, and how fast each is where they fill the GPU, beside the first: as measured on an H100. */
const tiles: readonly (Tile & { readonly rate: number })[] = [
  { rows: 128, columns: 128, each: 8, rate: 1 },
  { rows: 64, columns: 64, each: 8, rate: 0.9 },
  { rows: 32, columns: 32, each: 4, rate: 0.62 },
];

/** Most numbers that the parts of a product may take. */
const mostPartials = 2 ** 24;

/** What a further pass costs: multiply-adds that an invocation could do meanwhile; and what writing and reading a number does. */
const costOfPass = 1200;
const costOfPartial = 1e-3;

export const matmul: KernelSet = {
  dynamic: ["rows"],

  forward: (call, gpu) =>
    onTensorCores(call, gpu) ? { passes: [tensorCores(call)] } : scheduleOf(forwardProduct(call), gpu),

  backward(call, gpu) {
    const schedules = backwardProducts(call).map((product) => scheduleOf(product, gpu));
    const partials = Math.max(0, ...schedules.map(({ scratch }) => scratch?.partials ?? 0));
    return {
      passes: schedules.flatMap(({ passes }) => passes),
      ...(partials > 0 && { scratch: { partials } }),
    };
  },
};

/** A product and the residual that it is added to: inside of a program (fusion/fusedOps.ts). */
export const matmulAdd: KernelSet = {
  dynamic: ["rows"],
  forward: (call, gpu) => scheduleOf({ ...forwardProduct(call), residual: "residual" }, gpu),
};

function forwardProduct({ sizes, dtype }: KernelCall): Product {
  return {
    ...extentsOf(sizes),
    batch: sizes.batch,
    a: { name: "a", alongInner: sizes.transposeA === 0 },
    b: { name: "b", alongInner: sizes.transposeB === 1, dtype: dtype("b") },
    y: "y",
    adds: false,
  };
}

/** da = dy bᵀ and db = aᵀ dy, or, of a transposed factor, the transpose of that. */
function backwardProducts({ sizes, has, adds, dtype }: KernelCall): Product[] {
  const { rows, inner, columns } = extentsOf(sizes);
  const { batch } = sizes;
  const [flippedA, flippedB] = [sizes.transposeA === 1, sizes.transposeB === 1];
  const dy = { rows: { name: "d_y", alongInner: false }, columns: { name: "d_y", alongInner: true } };
  const b = { name: "b", alongInner: !flippedB, dtype: dtype("b") };
  const a = { name: "a", alongInner: flippedA };
  const da = { batch, inner: columns, y: "d_a", adds: adds("d_a") };
  const db = { batch, inner: rows, y: "d_b", adds: adds("d_b") };
  const products: Product[] = [];
  if (has("d_a")) {
    products.push(
      flippedA
        ? { ...da, rows: inner, columns: rows, a: b, b: dy.columns }
        : { ...da, rows, columns: inner, a: dy.columns, b },
    );
  }
  if (has("d_b")) {
    products.push(
      flippedB
        ? { ...db, rows: columns, columns: inner, a: dy.rows, b: a }
        : { ...db, rows: inner, columns, a, b: dy.rows },
    );
  }
  return products;
}

function extentsOf({
  rows,
  inner,
  columns,
}: KernelCall["sizes"]): Record<"rows" | "inner" | "columns", Extent> {
  return {
    rows: { value: rows, code: "rows" },
    inner: { value: inner, code: "inner" },
    columns: { value: columns, code: "columns" },
  };
}

function scheduleOf(product: Product, gpu: Gpu): Schedule {
  if (product.rows.value <= mostRows && !product.residual) return { passes: [gemv(product, gpu)] };
  const { tile, parts } = plan(product, gpu);
  const numbers = product.batch * product.rows.value * product.columns.value;
  return { passes: gemm(product, tile, parts), ...(parts > 1 && { scratch: { partials: parts * numbers } }) };
}

/** The tile and the number of parts (a power of two) that are thought to be done first. */
export function plan(
  product: Product,
  { parallelism }: Pick<Gpu, "parallelism">,
): { tile: Tile; parts: number } {
  const { batch, rows, columns, inner } = product;
  const numbers = batch * rows.value * columns.value;
  let best = { tile: tiles[0] as Tile, parts: 1 };
  let least = Infinity;
  for (const { rate, ...tile } of tiles) {
    for (let parts = 1; parts === 1 || inner.value / parts >= 64; parts *= 2) {
      if (parts > 1 && parts * numbers > mostPartials) break;
      const waves = Math.max(1, (tilesOf(product, tile) * parts * invocationsOf(tile)) / parallelism);
      const each = (Math.ceil(inner.value / parts) * tile.each ** 2) / rate;
      const adding = parts > 1 ? costOfPass + costOfPartial * numbers * parts : 0;
      const cost = ((waves + Math.ceil(waves)) / 2) * each + adding;
      if (cost >= least) continue;
      least = cost;
      best = { tile, parts };
    }
  }
  return best;
}
