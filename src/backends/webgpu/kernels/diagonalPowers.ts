/**
 * Tables of powers of Ā, from which both directions of diagonalFilter make Āˡ: for each mode and each octal digit k of a
 * position the eight numbers Ā^(d 8ᵏ), each rounded once. Zero-order hold: an invocation an entry, its angle reduced
 * exactly. Bilinear: an invocation a mode, products in doubles, since Ā itself rounded to float would be off by 6e-8 l
 * of a radian at position l.
 */
import type { KernelCall, Pass } from "../kernel.ts";
import { complexDoubles, doubles } from "./doubles.ts";
import { powerOf } from "./modes.ts";

const size = 64;

/** Octal digits of the positions of a filter; two at least, for a row of 64. */
export function digitsOf(length: number): number {
  return Math.max(2, Math.ceil(Math.log2(length) / 3));
}

/** Writes `powers`: (channels, n, digits, 8) complex numbers. */
export function powersPass({ sizes: { channels, n, length, bilinear } }: KernelCall): Pass {
  const digits = digitsOf(length);
  const entries = bilinear ? 1 : 8 * digits;
  return {
    reads: ["lambda: vec2f", "delta"],
    writes: ["powers: vec2f"],
    workgroups: Math.ceil((channels * n * entries) / size),
    workgroupSize: size,
    code: bilinear ? byProducts(digits) : byEntries(digits),
  };
}

const byEntries = (digits: number) => /* wgsl */ `${powerOf}
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  if (i >= arrayLength(&powers)) { return; }
  let mode = i / ${8 * digits}u;
  if (mode >= channels * n) { return; }
  let m = (i & 7u) << (3u * ((i / 8u) % ${digits}u));
  powers[i] = powerOf(lambda[mode], delta[mode / n], m);
}`;

const byProducts = (digits: number) => /* wgsl */ `${doubles("length >> 31u")}${complexDoubles}
fn run(group: u32, lane: u32) {
  let mode = group * ${size}u + lane;
  if (mode >= channels * n) { return; }
  let re = twoProduct(0.5 * delta[mode / n], lambda[mode].x);
  let im = twoProduct(0.5 * delta[mode / n], lambda[mode].y);
  let one = vec2f(1.0, 0.0);
  let less = plusDouble(one, -re);
  let square = timesDouble(im, im);
  let scale = inverseDouble(plusDouble(timesDouble(less, less), square));
  let real = plusDouble(timesDouble(plusDouble(one, re), less), -square);
  var base = vec4f(timesDouble(real, scale), timesDouble(im + im, scale)); // (1 + h)(1 − h̄) / |1 − h|²
  for (var k = 0u; k < ${digits}u; k++) {
    var power = vec4f(1.0, 0.0, 0.0, 0.0);
    for (var d = 0u; d < 8u; d++) {
      powers[(mode * ${digits}u + k) * 8u + d] = power.xz;
      power = timesDoubles(power, base);
    }
    base = power;
  }
}`;
