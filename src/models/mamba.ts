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
import { add } from "../ops/arithmetic.ts";
import { causalConv1d } from "../ops/causalConv1d.ts";
import { matmul } from "../ops/matmul.ts";
import { split } from "../ops/reshape.ts";
import { selectiveScan } from "../ops/selectiveScan.ts";
import type { Device } from "../tensor/device.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type BackboneConfig, LanguageModel, type Mixer } from "./backbone.ts";
import {
  constant,
  type Draw,
  fanIn,
  type NamedTensors,
  type ParameterSource,
  randomParameters,
} from "./layers.ts";

export interface MambaConfig extends BackboneConfig {
  /** N: numbers remembered per channel. Default 16. */
  readonly dState: number;
  /** K: taps of the convolution. Default 4. */
  readonly dConv: number;
  /** dInner / dModel. Default 2. */
  readonly expand: number;
  /** R. Default ⌈dModel / 16⌉. */
  readonly dtRank: number;
  /** Biases on the projections in and out. Default false. */
  readonly bias: boolean;
  /** Bias on the convolution. Default true. */
  readonly convBias: boolean;
  /**
   * Fresh models draw the step sizes Δ that they begin with log-uniformly from here to `deltaMax`. A channel remembers
   * about 1/Δ tokens. Defaults 0.001 and 0.1.
   */
  readonly deltaMin: number;
  readonly deltaMax: number;
}

/** A config with the paper's defaults for what is not given. Throws a UsageError on sizes that make no model. */
export function mambaConfig(
  given: Partial<MambaConfig> & Pick<MambaConfig, "vocabulary" | "dModel" | "layers">,
): MambaConfig {
  const config = {
    dState: 16,
    dConv: 4,
    expand: 2,
    dtRank: Math.ceil(given.dModel / 16),
    bias: false,
    convBias: true,
    deltaMin: 0.001,
    deltaMax: 0.1,
    normEpsilon: 1e-5,
    tiedHead: true,
    ...given,
  };
  for (const name of ["vocabulary", "dModel", "layers", "dState", "dConv", "dtRank"] as const) {
    if (!Number.isInteger(config[name]) || config[name] < 1) {
      throw new UsageError(`mamba: ${name} must be a whole number of at least 1, got ${config[name]}.`);
    }
  }
  if (!Number.isInteger(config.expand * config.dModel) || config.expand <= 0) {
    throw new UsageError(`mamba: expand · dModel must be whole, got ${config.expand} · ${config.dModel}.`);
  }
  if (!(config.deltaMin > 0 && config.deltaMin <= config.deltaMax)) {
    throw new UsageError(
      `mamba: deltaMin must be above 0 and at most deltaMax, got ${config.deltaMin} and ${config.deltaMax}.`,
    );
  }
  return config;
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
  readonly #config: MambaConfig;
  readonly #dInner: number;

  constructor(config: MambaConfig, source: ParameterSource) {
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

function linear(u: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const product = matmul(u, weight);
  return bias ? add(product, bias) : product;
}

/** softplus⁻¹ of a step size drawn log-uniformly from deltaMin to deltaMax (section 3.6 of the paper). */
function deltaBiasDraw({ deltaMin, deltaMax }: MambaConfig): Draw {
  const low = Math.log(deltaMin);
  const high = Math.log(deltaMax);
  return (random) => {
    const delta = Math.exp(low + random.uniform() * (high - low));
    return delta + Math.log(-Math.expm1(-delta));
  };
}
