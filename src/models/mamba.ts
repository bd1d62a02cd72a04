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
 *   xProj         (dInner, dtRank + 2 dState)  x_proj: v → Δ (low rank), B, C
 *   dtProj        (dtRank, dInner)             dt_proj
 *   deltaBias     (dInner)                     dt_proj.bias
 *   logA          (dState, dInner)             A_log: A = −exp(logA)
 *   D             (dInner)
 *   out           (dInner, dModel)             out_proj
 *
 * Channels are the last axis of every tensor, so weights are (in, out) and A is (dState, dInner).
 */
import { exp, neg } from "../ops/activation.ts";
import { causalConv1d } from "../ops/causalConv1d.ts";
import { matmul } from "../ops/matmul.ts";
import { split } from "../ops/reshape.ts";
import { selectiveScan } from "../ops/selectiveScan.ts";
import type { Device } from "../tensor/device.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind } from "./backbone.ts";
import { type ConfigOf, configOf, onOff, positive, whole } from "./config.ts";
import { checkDelta, deltaDraw, deltaFields } from "./delta.ts";
import { languageFields, LanguageModel } from "./languageModel.ts";
import {
  constant,
  type Draw,
  fanIn,
  linear,
  type NamedTensors,
  type ParameterSource,
  randomParameters,
} from "./layers.ts";

export const mambaFields = {
  ...backboneFields,
  dState: whole("N, numbers remembered per channel", 16),
  dConv: whole("K, taps of the short convolution", 4),
  expand: positive("E, channels inside a block per channel outside", 2),
  dtRank: { ...whole("R, rank of the projection to Δ"), initially: "dModel / 16, rounded up" },
  bias: onOff("biases on the projections in and out", false),
  convBias: onOff("bias on the short convolution", true),
  ...deltaFields,
};

/** What a Mamba block needs to know. */
export type MambaBlockConfig = ConfigOf<typeof mambaFields>;

/** The config of a language model of Mamba blocks. */
export type MambaConfig = { readonly model: "mamba" } & ConfigOf<typeof languageFields> & MambaBlockConfig;

export const mambaKind: ModelKind<MambaBlockConfig> = {
  name: "mamba",
  title: "Mamba",
  fields: mambaFields,
  config(given) {
    const dtRank = given.dtRank ?? Math.ceil(Number(given.dModel) / 16);
    const config = configOf("mamba", mambaFields, { ...given, dtRank });
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
  readonly #config: MambaBlockConfig;
  readonly #dInner: number;

  constructor(config: MambaBlockConfig, source: ParameterSource) {
    const { dModel, dState, dConv, dtRank, layers, bias, convBias } = config;
    const dInner = config.expand * dModel;
    this.#config = config;
    this.#dInner = dInner;
    this.parameters = {
      inX: source("inX", [dModel, dInner], fanIn(dModel)),
      inZ: source("inZ", [dModel, dInner], fanIn(dModel)),
      convWeight: source("convWeight", [dConv, dInner], fanIn(dConv)),
      xProj: source("xProj", [dInner, dtRank + 2 * dState], fanIn(dInner)),
      dtProj: source("dtProj", [dtRank, dInner], fanIn(dtRank)),
      deltaBias: source("deltaBias", [dInner], deltaBiasDraw(config)),
      logA: source("logA", [dState, dInner], (_, i) => Math.log(Math.floor(i / dInner) + 1)),
      D: source("D", [dInner], constant(1)),
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
    const { device } = this.parameters.D;
    const { dConv, dState } = this.#config;
    return {
      conv: device.zeros([batch, dConv - 1, this.#dInner]), // the last inputs of the convolution
      ssm: device.zeros([batch, dState, this.#dInner]), //     h
    };
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state: NamedTensors } {
    const { inX, inZ, convWeight, convBias, xProj, dtProj, deltaBias, logA, D, out } = this.parameters;
    const { inXBias, inZBias, outBias } = this.parameters;
    const { dtRank, dState } = this.#config;
    const x = linear(u, inX, inXBias); // (batch, length, dInner)
    const z = linear(u, inZ, inZBias);
    const conv = causalConv1d(x, convWeight, { bias: convBias, state: state?.conv, resets, silu: true });
    const v = conv.y;
    const [r, B, C] = split(matmul(v, xProj), [dtRank, dState, dState]);
    const delta = matmul(r, dtProj);
    const A = neg(exp(logA));
    const options = { D, z, deltaBias, state: state?.ssm, resets, softplus: true };
    const scan = selectiveScan(v, delta, A, B, C, options);
    return { y: linear(scan.y, out, outBias), state: { conv: conv.state, ssm: scan.state } };
  }

  /** The recurrence is the scan at length 1: its kernels carry the state, so both give the same bits. */
  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const [batch, dModel] = u.shape;
    const next = this.forward(reshape(u, [batch, 1, dModel]), state);
    return { y: reshape(next.y, [batch, dModel]), state: next.state };
  }
}

/** softplus⁻¹ of a fresh step size (section 3.6 of the paper). */
function deltaBiasDraw(config: MambaBlockConfig): Draw {
  const draw = deltaDraw(config);
  return (random, i) => {
    const delta = draw(random, i);
    return delta + Math.log(-Math.expm1(-delta));
  };
}
