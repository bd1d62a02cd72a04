/** What all kernels of matrix products share: what a product is, how its factors are read and its result is written. */
import type { Dtype } from "../../../tensor/backend.ts";
import { into, weightAt, weightBinding } from "./library.ts";

/** A size of the product: its value, and its name or value in WGSL. */
export interface Extent {
  readonly value: number;
  readonly code: string;
}

/** A factor in memory: lines of numbers, along inner or across it. */
export interface Factor {
  readonly name: string;
  readonly alongInner: boolean;
  readonly dtype?: Dtype;
}

/** y (rows, columns), one of several such products: a (rows, inner), b (inner, columns). */
export interface Product {
  readonly batch: number;
  readonly rows: Extent;
  readonly columns: Extent;
  readonly inner: Extent;
  readonly a: Factor;
  readonly b: Factor;
  readonly y: string;
  /** Whether the product is added to what y holds. */
  readonly adds: boolean;
  /** A tensor of y's shape that is added to the product, by name. */
  readonly residual?: string;
  /** Ranges of y's columns that are tensors of their own, in their order: there is no y then. */
  readonly ranges?: readonly Range[];
}

export interface Range {
  readonly name: string;
  readonly columns: Extent;
}

/** Whether lines of this length are whole vectors, wherever they begin. */
export function inVectors(size: Extent): boolean {
  return size.value % 4 === 0;
}

/** Whether y is written by whole vectors, in its ranges too. */
export function storesVectors({ columns, ranges = [] }: Product): boolean {
  return inVectors(columns) && ranges.every((range) => inVectors(range.columns));
}

/** A binding of lines of `size` numbers. */
export function bindingOf(name: string, size: Extent, dtype: Dtype = "f32"): string {
  return weightBinding(name, dtype, inVectors(size));
}

/** How long the lines of a factor are, and how many they are; `other` is its extent that is not inner. */
export function linesOf(
  { alongInner }: Factor,
  other: Extent,
  inner: Extent,
): { size: Extent; count: Extent } {
  return alongInner ? { size: inner, count: other } : { size: other, count: inner };
}

/**
 * `load_<role>(matrix, line, at)`: four neighbours of a line from `at`, a multiple of 4, on; 0 outside of the matrix.
 */
export function loader(role: "a" | "b", factor: Factor, other: Extent, inner: Extent): string {
  const { size, count } = linesOf(factor, other, inner);
  const one = (at: string) => `${factor.name}_at(${at})`;
  const scalars = /* wgsl */ `
    let start = (matrix * ${count.code} + line) * ${size.code} + at;
    if (at + 3u < ${size.code}) { return vec4f(${[0, 1, 2, 3].map((i) => one(`start + ${i}u`)).join(", ")}); }
    var some = vec4f(${one("start")}, 0.0, 0.0, 0.0);
    if (at + 1u < ${size.code}) { some.y = ${one("start + 1u")}; }
    if (at + 2u < ${size.code}) { some.z = ${one("start + 2u")}; }
    return some;`;
  const vector = `return ${factor.name}_at(((matrix * ${count.code} + line) * ${size.code} + at) / 4u);`;
  return /* wgsl */ `${weightAt(factor.name, factor.dtype ?? "f32", inVectors(size))}
fn load_${role}(matrix: u32, line: u32, at: u32) -> vec4f {
  if (line < ${count.code} && at < ${size.code}) { ${inVectors(size) ? vector : scalars}
  }
  return vec4f();
}`;
}

/** Statements that put four sums of a row into the result, as far as they are inside of it. */
export function storeOf(
  target: string,
  rows: Extent,
  columns: Extent,
  row: string,
  column: string,
  sum: string,
  { adds = false, residual, ranges }: Partial<Pick<Product, "adds" | "residual" | "ranges">>,
): string {
  const at = `(matrix * ${rows.code} + ${row}) * ${columns.code} + ${column}`;
  const body = ranges
    ? `storeInRanges(matrix * ${rows.code} + ${row}, ${column}, ${sum});`
    : inVectors(columns)
      ? `${target}[(${at}) / 4u] ${into(adds)} ${sum}${residual ? ` + ${residual}[(${at}) / 4u]` : ""};`
      : ["x", "y", "z", "w"]
          .map(
            (c, i) =>
              `if (${column} + ${i}u < ${columns.code}) { ${target}[${at} + ${i}u] ${into(adds)} ${sum}.${c}${residual ? ` + ${residual}[${at} + ${i}u]` : ""}; }`,
          )
          .join("\n    ");
  return `if (${row} < ${rows.code} && ${column} < ${columns.code}) {
    ${body}
  }`;
}

/** What a product or, of its last pass, `partials` is written into: bindings. */
export function resultsOf(product: Product): string[] {
  const { y, columns, ranges } = product;
  if (!ranges) return [bindingOf(y, columns)];
  return ranges.map(({ name }) => (storesVectors(product) ? `${name}: vec4f` : name));
}

/**
 * `storeInRange(row, column, sum)` puts a number into its range of y, or four where all ranges are whole vectors;
 * `storeInRanges(row, column, sum)` always four.
 */
export function rangesText(product: Product): string {
  const { ranges } = product;
  if (!ranges) return "";
  const vector = storesVectors(product);
  const cases = ranges.map(
    ({ name, columns: own }) => `  if (at < ${own.code}) {
    ${name}[${vector ? `(row * ${own.code} + at) / 4u` : `row * ${own.code} + at`}] = sum;
    return;
  }
  at -= ${own.code};`,
  );
  return /* wgsl */ `
fn storeInRange(row: u32, column: u32, sum: ${vector ? "vec4f" : "f32"}) {
  var at = column;
${cases.join("\n")}
}
fn storeInRanges(row: u32, column: u32, sum: vec4f) {
  ${
    vector
      ? "storeInRange(row, column, sum);"
      : [0, 1, 2, 3].map((i) => `storeInRange(row, column + ${i}u, sum[${i}]);`).join(" ")
  }
}`;
}
