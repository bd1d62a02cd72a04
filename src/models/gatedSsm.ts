import { silu } from "../ops/activation.ts";
import { mul } from "../ops/arithmetic.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Mixer } from "./backbone.ts";
import type { NamedTensors } from "./layers.ts";

/** An SSM and the gate behind it: y = ssm(v) ⊙ silu(z). v, z, y (batch, length, dInner). */
export interface GatedSsm {
  readonly parameters: NamedTensors;
  initialState(batch: number): NamedTensors;
  /** As the `forward` of a Mixer: without a state, an LTI layer returns none. */
  forward(v: Tensor, z: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors };
}

/** Any layer with the gate behind it. */
export function gated(layer: Mixer): GatedSsm {
  return {
    parameters: layer.parameters,
    initialState: (batch) => layer.initialState(batch),
    forward(v, z, state, resets) {
      const next = layer.forward(v, state, resets);
      return { ...next, y: mul(next.y, silu(z)) };
    },
  };
}
