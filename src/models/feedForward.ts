import { silu } from "../ops/activation.ts";
import { mul } from "../ops/arithmetic.ts";
import { matmul } from "../ops/matmul.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Mixer } from "./backbone.ts";
import { fanIn, type NamedTensors, type ParameterSource } from "./layers.ts";

/**
 * The feed-forward part of a Transformer's block, as SwiGLU (Shazeer 2020, arXiv 2002.05202): it mixes channels, not
 * time, and remembers nothing.
 *   y = (silu(u gate) ⊙ (u up)) down
 *   u, y (…, dModel)      gate, up (dModel, hidden)      down (hidden, dModel)
 */
export class FeedForward implements Mixer {
  readonly parameters: NamedTensors;

  constructor(dModel: number, hidden: number, layers: number, source: ParameterSource) {
    this.parameters = {
      gate: source("gate", [dModel, hidden], fanIn(dModel)),
      up: source("up", [dModel, hidden], fanIn(dModel)),
      down: source("down", [hidden, dModel], fanIn(hidden, 1 / Math.sqrt(layers))),
    };
  }

  initialState(): NamedTensors {
    return {};
  }

  forward(u: Tensor): { y: Tensor; state: NamedTensors } {
    const { gate, up, down } = this.parameters;
    return { y: matmul(mul(silu(matmul(u, gate)), matmul(u, up)), down), state: {} };
  }

  step(u: Tensor): { y: Tensor; state: NamedTensors } {
    return this.forward(u);
  }
}
