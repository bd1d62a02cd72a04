import type { GoldenCase, Values } from "./case.ts";

/** The input `in.<name>` in float64, in which all of math/ computes. */
export async function input64(golden: GoldenCase, name: string): Promise<Float64Array> {
  return new Float64Array((await golden.input(name)).data);
}

/** A result in float64. */
export function values(shape: readonly number[], data: ArrayLike<number>): Values {
  return { shape, data: Float64Array.from(data) };
}

/** Every `stride`-th row of (rows, width), from row 0 on. */
export function everyRow(data: Float64Array, width: number, stride: number): Values {
  const kept = data.filter((_, i) => Math.floor(i / width) % stride === 0);
  return values([kept.length / width, width], kept);
}
