/**
 * Mamba: "Linear-Time Sequence Modeling with Selective State Spaces" (Gu & Dao 2023, arXiv 2312.00752), the S6 layer
 * in the block of its Figure 3, exactly as state-spaces/mamba computes it.
 *
 *   in config     symbol   meaning
 *   dModel        D        width of the residual stream
 *   expand        E        dInner = expand · dModel channels inside the block
 *   dState        N        numbers remembered per channel
 *   dtRank        R        rank of the projection to Δ
 *   dConv         K        taps of the short convolution
 *
 *   parameter     shape                        official name (checkpoint/pretrained.ts maps them)
 *   inX, inZ      (dModel, dInner)             in_proj: the two branches of the figure
 *   convWeight    (dConv, dInner)              conv1d
 *   …                                          those of the SSM, under their own names: s6.ts
 *   out           (dInner, dModel)             out_proj
 *
 * Channels are the last axis of every tensor, so weights are (in, out) and A is (dState, dInner). */
import { causalConv1d } from "../ops/causalConv1d.ts";
import type { Device } from "../tensor/device.ts";
import { UsageError } from "../tensor/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind, stepByForward, type Stepped } from "./backbone.ts";
import { type ConfigOf, configOf, onOff, positive, whole } from "./config.ts";
import { checkDelta } from "./delta.ts";
import { languageFields, LanguageModel } from "./languageModel.ts";
import { fanIn, linear, type NamedTensors, type ParameterSource, randomParameters } from "./layers.ts";
import { withDtRank } from "./s6.ts";
import { createSsm, type Gated, gated, ssmFields, ssmParameters } from "./ssm.ts";

export const mambaFields = {
  ...backboneFields,
  ...ssmFields,
  dConv: whole("K, taps of the short convolution", 4),
  expand: positive("E, channels inside a block per channel outside", 2),
  bias: onOff("biases on the projections in and out", false),
  convBias: onOff("bias on the short convolution", true),
};

/** What a Mamba block needs to know. */
export type MambaBlockConfig = ConfigOf<typeof mambaFields>;

/** The config of a language model of Mamba blocks. */
export type MambaConfig = { readonly model: "mamba" } & ConfigOf<typeof languageFields> & MambaBlockConfig;

export const mambaKind: ModelKind<MambaBlockConfig> = {
  name: "mamba",
  title: "Mamba",
  fields: mambaFields,
  ssmParameters,
  config(given) {
    const config = configOf("mamba", mambaFields, withDtRank(given));
    if (!Number.isInteger(config.expand * config.dModel)) {
      throw new UsageError(`mamba: expand · dModel must be whole, got ${config.expand} · ${config.dModel}.`);
    }
    checkDelta("mamba", config);
    return config;
  },
  mixer: (config, source) => new MambaBlock(config, source),
};

/** A config with the paper's defaults for what is not given. Throws a UsageError on sizes that make no model. */
export function mambaConfig(
  given: Partial<MambaConfig> & Pick<MambaConfig, "vocabulary" | "dModel" | "layers">,
): MambaConfig {
  return { model: "mamba", ...configOf("mamba", languageFields, given), ...mambaKind.config(given) };
}

/** A language model of Mamba blocks with fresh parameters: the same seed gives the same model. */
export function createMamba(device: Device, config: MambaConfig, seed = 0): LanguageModel<MambaConfig> {
  return mamba(config, randomParameters(device, seed));
}

/** A language model of Mamba blocks with parameters from anywhere. */
export function mamba(config: MambaConfig, source: ParameterSource): LanguageModel<MambaConfig> {
  return new LanguageModel(config, source, (own) => new MambaBlock(config, own));
}

/** The Mamba block. u, y: (batch, length, dModel). */
export class MambaBlock implements Mixer {
  readonly parameters: NamedTensors;
  readonly #ssm: Mixer;
  readonly #gated: Gated;

  constructor(config: MambaBlockConfig, source: ParameterSource) {
    const { dModel, dConv, layers, bias, convBias } = config;
    const dInner = config.expand * dModel;
    const inX = source("inX", [dModel, dInner], fanIn(dModel));
    const inZ = source("inZ", [dModel, dInner], fanIn(dModel));
    const convWeight = source("convWeight", [dConv, dInner], fanIn(dConv));
    this.#ssm = createSsm(config, dInner, source);
    this.#gated = gated(this.#ssm);
    this.parameters = {
      inX,
      inZ,
      convWeight,
      ...this.#ssm.parameters,
      out: source("out", [dInner, dModel], fanIn(dInner, 1 / Math.sqrt(layers))),
      ...(convBias && { convBias: source("convBias", [dInner], fanIn(dConv)) }),
      ...(bias && {
        inXBias: source("inXBias", [dInner], fanIn(dModel)),
        inZBias: source("inZBias", [dInner], fanIn(dModel)),
        outBias: source("outBias", [dModel], fanIn(dInner)),
      }),
    };
  }

  initialState(batch: number): NamedTensors {
    const { convWeight } = this.parameters;
    const [dConv, dInner] = convWeight.shape;
    const conv = convWeight.device.zeros([batch, dConv - 1, dInner]); // the last inputs of the convolution
    return { conv, ...this.#ssm.initialState(batch) };
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors } {
    const { inX, inZ, convWeight, convBias, out, inXBias, inZBias, outBias } = this.parameters;
    const x = linear(u, inX, inXBias); // (batch, length, dInner)
    const z = linear(u, inZ, inZBias);
    const conv = causalConv1d(x, convWeight, { bias: convBias, state: state?.conv, resets, silu: true });
    const ssm = this.#gated(conv.y, z, state, resets);
    return {
      y: linear(ssm.y, out, outBias),
      ...(ssm.state && { state: { conv: conv.state, ...ssm.state } }),
    };
  }

  step(u: Tensor, state: NamedTensors): Stepped {
    return stepByForward(this, u, state);
  }
}
