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

/**
 * Tiles, and how fast each is where they fill the GPU, beside the first: as measured on an H100. Slices: as many as fit
 * into what every GPU has, 256 invocations and 16 KiB.
 */
const tiles: readonly (Omit<Tile, "slices"> & { readonly rate: number; readonly mostSlices: 1 | 2 | 4 })[] = [
  { rows: 128, columns: 128, each: 8, rate: 1, mostSlices: 1 },
  { rows: 64, columns: 64, each: 8, rate: 0.9, mostSlices: 2 },
  { rows: 32, columns: 32, each: 4, rate: 0.62, mostSlices: 4 },
];

/** Ranges of columns that a product may be split into: together with its factors, what every device binds. */
export const rangeNames: readonly string[] = [0, 1, 2, 3, 4, 5].map((i) => `part${i}`);

/** Most numbers that the parts of a product may take. */
const mostPartials = 2 ** 24;

/** What a further pass costs: multiply-adds that an invocation could do meanwhile; and what writing and reading a number does. */
const costOfPass = 1200;
const costOfPartial = 1e-3;

/** What it costs that sums meet in workgroup memory, likewise. */
const costOfMeeting = 100;

/**
 * What a further pass must gain besides, likewise, and as a part of what it takes: a GPU smaller than the one that these
 * costs are from is full with fewer parts, and so are products that run side by side.
 */
const leastGain = 3000;
const leastPart = 0.3;

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

/** A product whose columns are tensors of their own: as many as a pass can bind. */
export const matmulSplit: KernelSet = {
  dynamic: ["rows"],
  forward(call, gpu) {
    const ranges = rangeNames
      .filter((name) => call.has(name))
      .map((name, i) => ({ name, columns: { value: call.sizes[`w${i}`], code: `w${i}` } }));
    return scheduleOf({ ...forwardProduct(call), ranges }, gpu);
  },
};

/** In how many parts of inner a product of many rows goes: with more than one, its last pass adds them up. */
export function partsOf(sizes: KernelCall["sizes"], gpu: Gpu): number {
  return plan(forwardProduct({ sizes, dtype: () => "f32" }), gpu).parts; // the weight's dtype has no say
}

export function forwardProduct({ sizes, dtype }: Pick<KernelCall, "sizes" | "dtype">): Product {
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
  const plain = !product.residual && !product.ranges;
  if (product.rows.value <= mostRows && plain) return { passes: [gemv(product, gpu)] };
  const { tile, parts } = plan(product, gpu);
  const numbers = product.batch * product.rows.value * product.columns.value;
  return { passes: gemm(product, tile, parts), ...(parts > 1 && { scratch: { partials: parts * numbers } }) };
}

/** The tile and the number of parts (a power of two) that are thought to be done first. */
export function plan(
  product: Product,
  { parallelism }: Pick<Gpu, "parallelism">,
): { tile: Tile; parts: number } {
  const { batch, inner } = product;
  const numbers = batch * product.rows.value * product.columns.value;
  let best: { tile: Tile; parts: number } | null = null;
  let least = Infinity;
  for (const { rate, mostSlices, rows, columns, each } of tiles) {
    for (let pieces = 1; pieces === 1 || inner.value / pieces >= 64; pieces *= 2) {
      for (const slices of [1, 2, 4]) {
        if (slices > Math.min(mostSlices, pieces)) break;
        const tile: Tile = { rows, columns, each, slices };
        if (slices > 1 && tilesOf(product, tile) * invocationsOf(tile) > parallelism) break; // it is full without
        const parts = pieces / slices;
        if (parts > 1 && parts * numbers > mostPartials) continue;
        const waves = Math.max(1, (tilesOf(product, tile) * parts * invocationsOf(tile)) / parallelism);
        const work = (Math.ceil(inner.value / pieces) * each ** 2) / rate;
        const adding =
          (parts > 1 ? costOfPass + costOfPartial * numbers * parts : 0) + (slices > 1 ? costOfMeeting : 0);
        const cost = ((waves + Math.ceil(waves)) / 2) * work + adding;
        const weighed = cost + (parts > 1 ? Math.min(leastGain, leastPart * cost) : 0);
        if (weighed >= least) continue;
        least = weighed;
        best = { tile, parts };
      }
    }
  }
  return best!; // one of them costs least
}
