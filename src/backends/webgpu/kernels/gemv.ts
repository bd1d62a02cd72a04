/**
 * y = a b for at most 8 rows, as in decoding: bound by reading b, which every workgroup reads a part of, once. The
 * rows' sums stay in registers; the workgroup adds its invocations' sums, always in the same order. It does so in workgroup
 * memory: WGSL does not promise which invocations a subgroup has, and a few barriers are little beside the reading.
 *
 * b across inner: an invocation has 4 columns, its workgroup few enough of them that there are workgroups for the whole
 * GPU, and the invocations share inner; it asks for several lines at once. b along inner (a tied output head): a team of
 * invocations has some columns, its members share inner. Traffic: b once, a from the cache.
 */
import type { Gpu, Pass } from "../kernel.ts";
import { into, sumText } from "./library.ts";
import { bindingOf, linesOf, loader, type Product, storeOf } from "./product.ts";

/** Most rows that are done this way. */
export const mostRows = 8;

/** Invocations of a workgroup. */
const size = 256;

export function gemv(product: Product, { parallelism }: Gpu): Pass {
  const { batch, rows, columns, inner, a, b, y } = product;
  const held = 2 ** Math.ceil(Math.log2(rows.value)); // rows that the code has room for
  const enough = parallelism / (2 * size); // workgroups
  const shape = b.alongInner ? alongOf(product, held, enough) : acrossOf(product, enough);
  return {
    reads: [
      bindingOf(a.name, linesOf(a, rows, inner).size, a.dtype),
      bindingOf(b.name, linesOf(b, columns, inner).size, b.dtype),
    ],
    writes: [b.alongInner ? y : bindingOf(y, columns)],
    workgroups: batch * Math.ceil(columns.value / shape.columns),
    workgroupSize: size,
    operations: 2 * batch * rows.value * columns.value * inner.value,
    code: /* wgsl */ `${loader("a", a, rows, inner)}
${loader("b", b, columns, inner)}
${b.alongInner ? along(product, held, shape.columns, shape.sharers) : across(product, held, shape.sharers)}`,
  };
}

/** How a workgroup divides its invocations. */
interface Shape {
  /** Columns of a workgroup. */
  readonly columns: number;
  /** Invocations that share inner. */
  readonly sharers: number;
}

/** As many columns, in lines of 32 to 1024 bytes, as leave enough workgroups; but no more sharers than inner has work for. */
function acrossOf({ batch, columns, inner }: Product, enough: number): Shape {
  const busy = [64, 32, 16, 8, 4].find((v) => batch * Math.ceil(columns.value / (4 * v)) >= enough) ?? 2;
  const sharers = Math.min(size / busy, powerBelow(inner.value / 4));
  return { columns: (4 * size) / sharers, sharers };
}

/** Teams of 32, or less where inner is short, and 1, 2 or 4 columns for each. */
function alongOf({ batch, columns, inner }: Product, held: number, enough: number): Shape {
  const sharers = Math.min(32, powerBelow(inner.value / 4));
  const teams = size / sharers;
  const most = Math.min(4, 16 / held);
  const each = [4, 2].find((c) => c <= most && (batch * columns.value) / (teams * c) >= enough) ?? 1;
  return { columns: teams * each, sharers };
}

/** The largest power of two up to x, at least 1. */
function powerBelow(x: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(x)));
}

function across({ rows, columns, inner, a, y, adds }: Product, held: number, sharers: number): string {
  const vectors = size / sharers;
  const groups = `((${columns.code} + ${4 * vectors - 1}u) / ${4 * vectors}u)`;
  const together = Math.min(held > 2 ? 2 : 3, Math.ceil(inner.value / (4 * sharers))); // times four lines of b
  const perTree = Math.min(held, 4); // rows whose sums fit into workgroup memory
  const remain = sharers > 16 ? Math.max(8, sharers / 16) : sharers; // that have something after the first of two sums
  const total = (count: number, first: string, step: number) =>
    sumText(count, (i) => `sums[r][${first} + ${i * step}u]`);
  const trees = each(held / perTree, (tree) => {
    const own = each(perTree, (r) => `sums[${r}][lane] = y${tree * perTree + r};`);
    const out = storeOf(y, rows, columns, `(${tree * perTree}u + r)`, "column", "sum", { adds });
    return /* wgsl */ `
  ${own}
  workgroupBarrier();
  ${
    remain < sharers
      ? `if (sharer < ${remain}u) {
    for (var r = 0u; r < ${perTree}u; r++) { sums[r][lane] = ${total(sharers / remain, `lane % ${remain * vectors}u`, remain * vectors)}; }
  }
  workgroupBarrier();`
      : ""
  }
  if (sharer == 0u) {
    for (var r = 0u; r < ${perTree}u; r++) {
      let sum = ${total(remain, `lane % ${vectors}u`, vectors)};
      ${out}
    }
  }
  workgroupBarrier();`;
  });
  return /* wgsl */ `
var<workgroup> sums: array<array<vec4f, ${size}>, ${perTree}>;
fn run(group: u32, lane: u32) {
  let matrix = group / ${groups};
  let sharer = lane / ${vectors}u;
  let column = 4u * (group % ${groups} * ${vectors}u + lane % ${vectors}u);
  ${each(held, (r) => `var y${r} = vec4f();`)}
  for (var first = 4u * sharer; first < ${inner.code}; first += ${4 * sharers * together}u) {
    ${each(together, (t) => each(4, (i) => `let b${t}_${i} = load_b(matrix, first + ${4 * sharers * t + i}u, column);`))}
    ${each(
      together,
      (t) => `{
      let k = first + ${4 * sharers * t}u;
      ${rowsOfA(a.alongInner, held)}
      ${each(held, (r) => each(4, (i) => `y${r} = fma(vec4f(a${r}.${"xyzw"[i]}), b${t}_${i}, y${r});`))}
    }`,
    )}
  }
  ${trees}
}`;
}

function along(
  { rows, columns, inner, a, y, adds }: Product,
  held: number,
  perGroup: number,
  sharers: number,
): string {
  const teams = size / sharers;
  const count = perGroup / teams;
  const groups = `((${columns.code} + ${perGroup - 1}u) / ${perGroup}u)`;
  const sums = (text: (r: number, c: number) => string) => each(held, (r) => each(count, (c) => text(r, c)));
  const at = (r: number, c: number) => r * count + c;
  return /* wgsl */ `
var<workgroup> sums: array<array<f32, ${size}>, ${held * count}>;
fn run(group: u32, lane: u32) {
  let matrix = group / ${groups};
  let sharer = lane % ${sharers}u;
  let column = group % ${groups} * ${perGroup}u + lane / ${sharers}u;
  ${sums((r, c) => `var y${at(r, c)} = 0.0;`)}
  for (var k = 4u * sharer; k < ${inner.code}; k += ${4 * sharers}u) {
    ${each(count, (c) => `let b${c} = load_b(matrix, column + ${c * teams}u, k);`)}
    ${rowsOfA(a.alongInner, held)}
    ${sums((r, c) => `y${at(r, c)} += dot(a${r}, b${c});`)}
  }
  ${sums((r, c) => `sums[${at(r, c)}][lane] = y${at(r, c)};`)}
  for (var half = ${sharers >> 1}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (sharer < half) { for (var i = 0u; i < ${held * count}u; i++) { sums[i][lane] += sums[i][lane + half]; } }
  }
  if (sharer > 0u) { return; }
  for (var i = 0u; i < ${held * count}u; i++) {
    let row = i / ${count}u;
    let at = column + i % ${count}u * ${teams}u;
    if (row < ${rows.code} && at < ${columns.code}) { ${y}[(matrix * ${rows.code} + row) * ${columns.code} + at] ${into(adds)} sums[i][lane]; }
  }
}`;
}

/** a0, a1, …: of each row four numbers from inner k on. */
function rowsOfA(alongInner: boolean, held: number): string {
  if (alongInner) return each(held, (r) => `let a${r} = load_a(matrix, ${r}u, k);`);
  const lines = each(
    Math.ceil(held / 4),
    (g) =>
      `let lines${g} = transpose(mat4x4f(${[0, 1, 2, 3].map((i) => `load_a(matrix, k + ${i}u, ${4 * g}u)`).join(", ")}));`,
  );
  return `${lines}\n    ${each(held, (r) => `let a${r} = lines${r >> 2}[${r & 3}];`)}`;
}

function each(count: number, text: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => text(i)).join("\n    ");
}
