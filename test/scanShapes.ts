import type { Shape } from "../src/tensor/shape.ts";

export interface Sizes {
  batch: number;
  length: number;
  dInner: number;
  dState: number;
  groups: number;
}

/** Of all inputs of a selective scan: u, Δ, A, B, C, D, z, Δ's bias, the state and the resets. */
export const shapesOf = ({ batch, length, dInner, dState, groups }: Sizes): Shape[] => [
  [batch, length, dInner],
  [batch, length, dInner],
  [dState, dInner],
  [batch, length, groups, dState],
  [batch, length, groups, dState],
  [dInner],
  [batch, length, dInner],
  [dInner],
  [batch, dState, dInner],
  [batch, length],
];
