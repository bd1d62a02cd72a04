/**
 * A team of invocations has one row: 4 numbers or more for each, at most a whole workgroup, so that narrow rows share
 * one. Maximum and sum come from one reading (each new maximum shrinks the sum so far), the shares from a second one,
 * out of the cache if the row fits there. Traffic: forward 2, backward 3 floats an element.
 */
import { type KernelSet, onePass } from "../kernel.ts";
import { into, isNan } from "./library.ts";

/** Invocations of a workgroup. */
export const size256 = 256;

/** Invocations that share a row of `size` numbers. */
export function teamOf(size: number): number {
  return Math.min(size256, 2 ** Math.ceil(Math.log2(Math.max(1, size / 4))));
}

/** A row's buffer, as vectors where rows are whole ones. */
export function rowsIn(name: string, size: number): string {
  return size % 4 === 0 ? `${name}: vec4f` : name;
}

/** `read_<name>(row, j)`: four numbers of a row from j, a multiple of 4, on; `missing` stands for those past its end. */
export function rowReader(name: string, size: number, missing: string): string {
  const at = (i: number) => `select(${missing}, ${name}[at + ${i}u], j + ${i}u < ${size}u)`;
  return /* wgsl */ `
fn read_${name}(row: u32, j: u32) -> vec4f {
  let at = row * ${size}u + j;
  return ${size % 4 === 0 ? `${name}[at / 4u]` : `vec4f(${[0, 1, 2, 3].map(at).join(", ")})`};
}`;
}

/** `write_<name>(row, j, x)`, its counterpart. */
export function rowWriter(name: string, size: number, adds: boolean): string {
  const put = (c: string, i: number) =>
    `if (j + ${i}u < ${size}u) { ${name}[at + ${i}u] ${into(adds)} x.${c}; }`;
  return /* wgsl */ `
fn write_${name}(row: u32, j: u32, x: vec4f) {
  let at = row * ${size}u + j;
  ${size % 4 === 0 ? `${name}[at / 4u] ${into(adds)} x;` : ["x", "y", "z", "w"].map(put).join(" ")}
}`;
}

/** The least f32, which stands for −∞: WGSL has no literal for that, and need not tell infinities apart. */
export const lowest = "-3.4028234e38";

/** `shares(x, most)` = exp(x − most), 0 for −∞. */
export const shares = /* wgsl */ `
fn shares(x: vec4f, most: f32) -> vec4f {
  return select(exp(x - most), vec4f(0.0), x <= vec4f(${lowest}));
}`;

/** `nan(bits)`: NaN, from any bits that the compiler does not know. */
export const nan = /* wgsl */ `
fn nan(bits: u32) -> f32 { return bitcast<f32>(bits | 0x7fc00000u); }`;

/**
 * `rowTotal(row, there, lane)`: the row's maximum and Σ exp(u − maximum), NaN when a number is NaN or +∞, or all are −∞.
 * Every invocation must call it.
 */
export function rowTotal(name: string, size: number): string {
  const team = teamOf(size);
  return /* wgsl */ `${isNan}${nan}${shares}
struct Total { most: f32, sum: f32, bad: u32 }
var<workgroup> totals: array<Total, ${size256}>;
fn rowTotal(row: u32, there: bool, lane: u32) -> Total {
  let member = lane % ${team}u;
  var own = Total(${lowest}, 0.0, 0u);
  if (there) {
    for (var j = 4u * member; j < ${size}u; j += ${4 * team}u) {
      let x = read_${name}(row, j);
      let two = select(x.xy, x.zw, x.zw > x.xy);
      let greatest = select(two.x, two.y, two.y > two.x);
      let most = select(own.most, greatest, greatest > own.most);
      own.sum = own.sum * exp(own.most - most) + dot(shares(x, most), vec4f(1.0));
      own.most = most;
      for (var i = 0u; i < 4u; i++) {
        let bits = bitcast<u32>(x[i]);
        if (isNan(x[i]) || bits == 0x7f800000u) { own.bad = 1u; }
      }
    }
  }
  totals[lane] = own;
  for (var half = ${team >> 1}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (member < half) {
      let other = totals[lane + half];
      let most = select(own.most, other.most, other.most > own.most);
      own.sum = own.sum * exp(own.most - most) + other.sum * exp(other.most - most);
      own.most = most;
      own.bad |= other.bad;
      totals[lane] = own;
    }
  }
  workgroupBarrier();
  var total = totals[lane - member];
  if (total.bad > 0u || total.sum == 0.0) { total.sum = nan(total.bad); }
  return total;
}`;
}

export const softmax: KernelSet = {
  dynamic: ["rows"],

  forward: ({ sizes: { rows, size } }) =>
    onePass({
      reads: [rowsIn("u", size)],
      writes: [rowsIn("y", size)],
      workgroups: Math.ceil((rows * teamOf(size)) / size256),
      workgroupSize: size256,
      operations: 4 * rows * size,
      code: /* wgsl */ `${rowReader("u", size, lowest)}${rowWriter("y", size, false)}${rowTotal("u", size)}
fn run(group: u32, lane: u32) {
  let row = (group * ${size256}u + lane) / ${teamOf(size)}u;
  let total = rowTotal(row, row < rows, lane);
  if (row >= rows) { return; }
  for (var j = 4u * (lane % ${teamOf(size)}u); j < ${size}u; j += ${4 * teamOf(size)}u) {
    let y = shares(read_u(row, j), total.most) / total.sum;
    write_y(row, j, select(y, vec4f(total.sum), vec4<bool>(isNan(total.sum))));
  }
}`,
    }),

  backward(call) {
    const { rows, size } = call.sizes;
    const team = teamOf(size);
    return onePass({
      reads: [rowsIn("y", size), rowsIn("d_y", size)],
      writes: [rowsIn("d_u", size)],
      workgroups: Math.ceil((rows * team) / size256),
      workgroupSize: size256,
      operations: 4 * rows * size,
      code: /* wgsl */ `${rowReader("y", size, "0.0")}${rowReader("d_y", size, "0.0")}
${rowWriter("d_u", size, call.adds("d_u"))}
var<workgroup> sums: array<f32, ${size256}>;
fn run(group: u32, lane: u32) {
  let row = (group * ${size256}u + lane) / ${team}u;
  let member = lane % ${team}u;
  var sum = 0.0;
  if (row < rows) {
    for (var j = 4u * member; j < ${size}u; j += ${4 * team}u) { sum += dot(read_y(row, j), read_d_y(row, j)); }
  }
  sums[lane] = sum;
  for (var half = ${team >> 1}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (member < half) { sums[lane] += sums[lane + half]; }
  }
  workgroupBarrier();
  if (row >= rows) { return; }
  let total = sums[lane - member];
  for (var j = 4u * member; j < ${size}u; j += ${4 * team}u) {
    write_d_u(row, j, read_y(row, j) * (read_d_y(row, j) - total));
  }
}`,
    });
  },
};
