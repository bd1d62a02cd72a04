/**
 * y = a b by tiles (gemmTile.ts). Traffic: a is read columns / tile times, b rows / tile times, from the cache if it holds
 * them. Where y has few tiles and inner is long, several teams of a workgroup take slices of inner; where that is not
 * enough, parts of inner are summed apart and a second pass adds the parts in their order. Wrong for fewer than about 8
 * rows: see gemv.ts.
 */
import type { Pass } from "../kernel.ts";
import { invocationsOf, type Tile, tileCode } from "./gemmTile.ts";
import { into, wide } from "./library.ts";
import { bindingOf, linesOf, type Product, rangesText, resultsOf, storesVectors } from "./product.ts";

/** Tiles of all products together. */
export function tilesOf({ batch, rows, columns }: Product, tile: Tile): number {
  return batch * Math.ceil(rows.value / tile.rows) * Math.ceil(columns.value / tile.columns);
}

/** The passes of a product by tiles, in `parts` of inner; with more than one part, `partials` is scratch. */
export function gemm(product: Product, tile: Tile, parts: number): Pass[] {
  const { batch, rows, columns, inner, a, b, y, adds, residual, ranges } = product;
  const size = invocationsOf(tile);
  const target = parts > 1 ? "partials" : y;
  const passes: Pass[] = [
    {
      reads: [
        bindingOf(a.name, linesOf(a, rows, inner).size, a.dtype),
        bindingOf(b.name, linesOf(b, columns, inner).size, b.dtype),
        ...(residual && parts === 1 ? [bindingOf(residual, columns)] : []),
      ],
      writes: parts > 1 ? [bindingOf(target, columns)] : resultsOf(product),
      workgroups: tilesOf(product, tile) * parts,
      workgroupSize: size,
      operations: 2 * batch * rows.value * columns.value * inner.value,
      code: tileCode(product, tile, parts, target),
    },
  ];
  if (parts > 1) {
    const vector = storesVectors(product);
    const line = `(${columns.code}${vector ? " / 4u" : ""})`;
    const result = ranges
      ? `storeInRange(i / ${line}, i % ${line}${vector ? " * 4u" : ""}, sum);`
      : `${y}[i] ${into(adds)} sum${residual ? ` + ${residual}[i]` : ""};`;
    const matrix = `(${rows.code} * ${line})`;
    const elements = batch * rows.value * columns.value;
    passes.push({
      reads: [vector ? "partials: vec4f" : "partials", ...(residual ? [bindingOf(residual, columns)] : [])],
      writes: resultsOf(product),
      workgroups: Math.ceil(elements / (vector ? 4 : 1) / wide),
      workgroupSize: wide,
      operations: elements * parts,
      code: /* wgsl */ `${rangesText(product)}
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= ${batch}u * ${matrix}) { return; }
  let start = i / ${matrix} * ${parts}u * ${matrix} + i % ${matrix};
  var sum = partials[start];
  for (var part = 1u; part < ${parts}u; part++) { sum += partials[start + part * ${matrix}]; }
  ${result}
}`,
    });
  }
  return passes;
}
