import fc from "fast-check";
import { elementsOf, type Shape } from "../../src/tensor/shape.ts";
import type { Input } from "../compareCalls.ts";

/** The sizes of some systems A = Λ − Σ_r P_r P_r*. */
export interface SystemSizes {
  readonly channels: number;
  readonly n: number;
  readonly rank: number;
}

export const anySystems = fc.record({
  channels: fc.integer({ min: 1, max: 5 }),
  n: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70 })),
  rank: fc.integer({ min: 1, max: 2 }),
});

/** The shapes of Λ, P, B, C and Δ. */
export function systemShapes({ channels, n, rank }: SystemSizes): Shape[] {
  const one = [channels, n, 2];
  return [one, [rank, ...one], one, one, [channels]];
}

/**
 * Number i of input k: eigenvalues in the left half plane, up to about 3n high as those of HiPPO, Δ from 0.01 to 0.1, all
 * else within ±1.
 */
export function systemValue(k: number, i: number, n: number): number {
  const noise = Math.sin(12.9898 * (i + 1) + 78.233 * (k + 1)) ** 3;
  if (k === 0) return i % 2 === 0 ? -0.5 + 0.3 * noise : 3 * ((i >> 1) % n) + 1.5 * (1 + noise);
  return k === 4 ? 0.01 * 10 ** ((noise + 1) / 2) : noise;
}

/** Λ, P, B, C and Δ. */
export function systemInputs(sizes: SystemSizes): Input[] {
  return systemShapes(sizes).map((shape, k) => ({
    shape,
    values: Float32Array.from({ length: elementsOf(shape) }, (_, i) => systemValue(k, i, sizes.n)),
  }));
}
