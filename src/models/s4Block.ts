import { gelu, sigmoid } from "../ops/activation.ts";
import { mul } from "../ops/arithmetic.ts";
import { split } from "../ops/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Mixer } from "./backbone.ts";
import { fanIn, linear, type NamedTensors, type ParameterSource } from "./layers.ts";

/**
 * The block of S4 (Gu, Goel & Ré 2022, section 3.4, as state-spaces/s4 builds it): an SSM for every channel, then a
 * nonlinearity, then the channels are mixed, through a gate of their own.
 *   y = a ⊙ σ(b)      (a, b) = gelu(ssm(u)) out + outBias
 *   u, y (batch, length, dModel)      out (dModel, 2 dModel)      outBias (2 dModel)
 * The parameters of the SSM stand beside those of the block, under their own names.
 */
export class S4Block implements Mixer {
  readonly parameters: NamedTensors;
  readonly #ssm: Mixer;

  constructor(dModel: number, ssm: Mixer, source: ParameterSource) {
    this.#ssm = ssm;
    this.parameters = {
      ...ssm.parameters,
      out: source("out", [dModel, 2 * dModel], fanIn(dModel)),
      outBias: source("outBias", [2 * dModel], fanIn(dModel)),
    };
  }

  initialState(batch: number): NamedTensors {
    return this.#ssm.initialState(batch);
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors } {
    const ssm = this.#ssm.forward(u, state, resets);
    return { ...ssm, y: this.#mix(ssm.y) };
  }

  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const ssm = this.#ssm.step(u, state);
    return { ...ssm, y: this.#mix(ssm.y) };
  }

  #mix(x: Tensor): Tensor {
    const { out, outBias } = this.parameters;
    const mixed = linear(gelu(x), out, outBias); // (…, 2 dModel)
    const [a, b] = split(mixed, [outBias.shape[0] / 2, outBias.shape[0] / 2]);
    return mul(a, sigmoid(b));
  }
}
