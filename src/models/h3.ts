/**
 * H3: "Hungry Hungry Hippos: Towards Language Modeling with State Space Models" (Fu, Dao et al. 2023, arXiv 2212.14052,
 * algorithm 1): two SSMs and two products in the place of attention. The first SSM shifts, so that a key meets the value
 * that follows it; the second remembers; the query asks.
 *
 *   y = (q ⊙ ssm(shift(k) ⊙ v)) out        q = u q, k = u k, v = u v
 *
 *   in config    symbol   meaning
 *   dConv                 taps of the shift: a trained causal convolution
 *   ssm                   the second SSM: S4D (models/s4d.ts), or S6 (models/s6.ts), the row "H3, S6" of Mamba's Table 1
 *   the others            those of the second SSM
 *
 *   parameter      shape               meaning
 *   q, k, v, out   (dModel, dModel)    projections
 *   shift          (dConv, dModel)
 *   shiftBias      (dModel)
 *   the others                         those of the second SSM, under its names
 *
 * Heads are one channel wide, so that k v is one number and no matrix. The shift has dConv taps, not as many as the second
 * SSM has states: the width that Mamba (section 4.1.1) compares with.
 */
import { mul } from "../ops/arithmetic.ts";
import { causalConv1d } from "../ops/causalConv1d.ts";
import { matmul } from "../ops/matmul.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind } from "./backbone.ts";
import { type ConfigOf, configOf, oneOf, whole } from "./config.ts";
import { checkDelta, deltaFields } from "./delta.ts";
import { fanIn, type NamedTensors, type ParameterSource } from "./layers.ts";
import { checkS4D, S4D, s4dFields, s4dSsmParameters } from "./s4d.ts";
import { S6, s6Fields, withDtRank } from "./s6.ts";

const fields = {
  ...backboneFields,
  ssm: oneOf("the second SSM", ["s4d", "s6"], "s4d"),
  dConv: whole("taps of the shift", 4),
  dState: s4dFields.dState,
  dtRank: s6Fields.dtRank,
  initialization: s4dFields.initialization,
  discretization: s4dFields.discretization,
  ...deltaFields,
};

type H3Config = ConfigOf<typeof fields>;

export const h3Kind: ModelKind<H3Config> = {
  name: "h3",
  title: "H3",
  fields,
  ssmParameters: s4dSsmParameters,
  config(given) {
    const config = configOf("h3", fields, withDtRank(given));
    if (config.ssm === "s4d") checkS4D("h3", { ...config, bidirectional: false });
    else checkDelta("h3", config);
    return config;
  },
  mixer: (config, source) => new H3(config, source),
};

/** u, y: (batch, length, dModel). */
export class H3 implements Mixer {
  readonly parameters: NamedTensors;
  readonly #ssm: Mixer;

  constructor(config: H3Config, source: ParameterSource) {
    const { dModel, dConv, layers } = config;
    this.#ssm =
      config.ssm === "s6"
        ? new S6({ ...config, constantB: false, constantC: false, constantDelta: false }, dModel, source)
        : new S4D({ ...config, bidirectional: false }, dModel, source);
    const square = [dModel, dModel];
    this.parameters = {
      ...this.#ssm.parameters,
      q: source("q", square, fanIn(dModel)),
      k: source("k", square, fanIn(dModel)),
      v: source("v", square, fanIn(dModel)),
      shift: source("shift", [dConv, dModel], fanIn(dConv)),
      shiftBias: source("shiftBias", [dModel], fanIn(dConv)),
      out: source("out", square, fanIn(dModel, 1 / Math.sqrt(layers))),
    };
  }

  initialState(batch: number): NamedTensors {
    const { shift } = this.parameters;
    const [dConv, dModel] = shift.shape;
    return { conv: shift.device.zeros([batch, dConv - 1, dModel]), ...this.#ssm.initialState(batch) };
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors } {
    const { q, k, v, shift, shiftBias, out } = this.parameters;
    const keys = causalConv1d(matmul(u, k), shift, { bias: shiftBias, state: state?.conv, resets });
    const ssm = this.#ssm.forward(mul(keys.y, matmul(u, v)), state, resets);
    return {
      y: matmul(mul(matmul(u, q), ssm.y), out),
      ...(ssm.state && { state: { conv: keys.state, ...ssm.state } }),
    };
  }

  /** The recurrence is that of `forward` at length 1. */
  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const [batch, dModel] = u.shape;
    const next = this.forward(reshape(u, [batch, 1, dModel]), state);
    return { y: reshape(next.y, [batch, dModel]), state: next.state! }; // it was given one
  }
}
