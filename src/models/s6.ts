/**
 * S6, the selective state space model of Mamba (Gu & Dao 2023, Algorithm 2): an SSM whose B, C and Δ follow the input,
 * so that it chooses what to keep. Each of the three can be made a constant instead, as in the paper's Table 7; with all
 * of them constant it is Algorithm 1, an S4 with real A.
 *
 *   parameter     shape                        official name (checkpoint/pretrained.ts maps them)
 *   xProj         (dInner, dtRank + 2 dState)  x_proj: v → Δ (low rank), B, C; of these only those that follow the input
 *   dtProj        (dtRank, dInner)             dt_proj
 *   deltaBias     (dInner)                     dt_proj.bias
 *   logA          (dState, dInner)             A_log: A = −exp(logA)
 *   D             (dInner)
 *   B, C          (dInner, dState)             where they are constant
 */
import { exp, neg } from "../ops/activation.ts";
import { add, scale } from "../ops/arithmetic.ts";
import { matmul } from "../ops/matmul.ts";
import { slice, split } from "../ops/reshape.ts";
import { selectiveScan } from "../ops/selectiveScan.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind, stepByForward, type Stepped } from "./backbone.ts";
import { type ConfigOf, configOf, onOff, whole } from "./config.ts";
import { checkDelta, deltaDraw, deltaFields } from "./delta.ts";
import { constant, type Draw, fanIn, type NamedTensors, normal, type ParameterSource } from "./layers.ts";
import { S4Block } from "./s4Block.ts";

export const s6Fields = {
  dState: whole("N, numbers remembered per channel", 16),
  dtRank: { ...whole("R, rank of the projection to Δ"), initially: "D / 16, rounded up" },
  constantB: onOff("B is a parameter and does not follow the input", false),
  constantC: onOff("C is a parameter and does not follow the input", false),
  constantDelta: onOff("Δ is a parameter and does not follow the input", false),
  ...deltaFields,
};

type S6Config = ConfigOf<typeof s6Fields>;

const fields = { ...backboneFields, ...s6Fields };

/** S6 in the block of S4: the row "S6, no gate" of the paper's Table 1. */
export const s6Kind: ModelKind<ConfigOf<typeof fields>> = {
  name: "s6",
  title: "S6",
  fields,
  ssmParameters: [],
  config(given) {
    const config = configOf("s6", fields, withDtRank(given));
    checkDelta("s6", config);
    return config;
  },
  mixer: (config, source) => new S4Block(config.dModel, new S6(config, config.dModel, source), source),
};

/** A config with R as the paper has it, where none is given. */
export function withDtRank(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...given, dtRank: given.dtRank ?? Math.ceil(Number(given.dModel) / 16) };
}

/** What a scan of v (batch, length, dInner) is made with: B, C as `selectiveScan` takes them. */
type Selection = (v: Tensor) => { delta: Tensor; B: Tensor; C: Tensor };

/** The SSM alone. u, y: (batch, length, dInner). */
export class S6 implements Mixer {
  readonly parameters: NamedTensors;
  readonly #select: Selection;

  constructor(config: S6Config, dInner: number, source: ParameterSource) {
    const { dState, constantB, constantC, constantDelta } = config;
    const selection = constantB || constantC || constantDelta ? partlyConstant : selective;
    const { parameters, select } = selection(config, dInner, source);
    this.#select = select;
    this.parameters = {
      ...parameters,
      deltaBias: source("deltaBias", [dInner], deltaBiasDraw(config)),
      logA: source("logA", [dState, dInner], (_, i) => Math.log(Math.floor(i / dInner) + 1)),
      D: source("D", [dInner], constant(1)),
    };
  }

  initialState(batch: number): NamedTensors {
    const { logA } = this.parameters;
    return { ssm: logA.device.zeros([batch, ...logA.shape]) }; // h
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): Stepped {
    return this.gated(u, undefined, state, resets);
  }

  step(u: Tensor, state: NamedTensors): Stepped {
    return stepByForward(this, u, state);
  }

  /** forward, then ⊙ silu(z): one kernel does both. */
  gated(v: Tensor, z?: Tensor, state?: NamedTensors, resets?: Tensor): Stepped {
    const { deltaBias, logA, D } = this.parameters;
    const { delta, B, C } = this.#select(v);
    const options = { D, z, deltaBias, state: state?.ssm, resets, softplus: true };
    const scan = selectiveScan(v, delta, neg(exp(logA)), B, C, options);
    return { y: scan.y, state: { ssm: scan.state } };
  }
}

type MakeSelection = (
  config: S6Config,
  dInner: number,
  source: ParameterSource,
) => { parameters: NamedTensors; select: Selection };

const selective: MakeSelection = ({ dtRank, dState }, dInner, source) => {
  const xProj = source("xProj", [dInner, dtRank + 2 * dState], fanIn(dInner));
  const dtProj = source("dtProj", [dtRank, dInner], fanIn(dtRank));
  return {
    parameters: { xProj, dtProj },
    select(v) {
      const [r, B, C] = split(matmul(v, xProj), [dtRank, dState, dState]);
      return { delta: matmul(r, dtProj), B, C };
    },
  };
};

/**
 * With a constant B or C each channel has its own, which the scan reads as groups of one channel: tensors as large as
 * all states, (batch, length, dInner, dState), so this is for experiments.
 */
const partlyConstant: MakeSelection = (config, dInner, source) => {
  const { dtRank, dState, constantB, constantC, constantDelta } = config;
  const widths = [constantDelta ? 0 : dtRank, constantB ? 0 : dState, constantC ? 0 : dState];
  const ends = widths.map((_, i) => widths.slice(0, i + 1).reduce((a, b) => a + b));
  const parameters: NamedTensors = {
    ...(ends[2] > 0 && { xProj: source("xProj", [dInner, ends[2]], fanIn(dInner)) }),
    ...(constantDelta ? {} : { dtProj: source("dtProj", [dtRank, dInner], fanIn(dtRank)) }),
    ...(constantB && { B: source("B", [dInner, dState], constant(1)) }),
    ...(constantC && { C: source("C", [dInner, dState], normal(1)) }),
  };
  const { xProj, dtProj, B, C } = parameters;
  return {
    parameters,
    select(v) {
      const [batch, length] = v.shape;
      const part = (i: number) => slice(matmul(v, xProj), 2, ends[i] - widths[i], ends[i]);
      const followed = (i: number) =>
        B || C ? add(reshape(part(i), [batch, length, 1, dState]), v.device.zeros([dInner, 1])) : part(i);
      const repeated = (own: Tensor) => add(own, v.device.zeros([batch, length, 1, 1]));
      return {
        delta: dtProj ? matmul(part(0), dtProj) : scale(v, 0), // deltaBias is all there is
        B: B ? repeated(B) : followed(1),
        C: C ? repeated(C) : followed(2),
      };
    },
  };
};

/** softplus⁻¹ of a fresh step size (section 3.6 of the paper). */
function deltaBiasDraw(config: S6Config): Draw {
  const draw = deltaDraw(config);
  return (random, i) => {
    const delta = draw(random, i);
    return delta + Math.log(-Math.expm1(-delta));
  };
}
