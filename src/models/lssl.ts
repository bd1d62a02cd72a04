/**
 * LSSL: "Combining Recurrent, Convolutional, and Continuous-time Models with Linear State-Space Layers" (Gu et al. 2021,
 * arXiv 2110.13985): for every channel a state space model with a dense A, which all channels share and which is trained.
 *
 *   x′ = A x + B u      y_m = C_m x + D_m u      out: gelu(y) mixed over channels and readouts
 *
 *   in config        symbol   meaning
 *   dState           N        states per channel
 *   readouts         M        outputs that each channel reads of its one state
 *   initialization            which A and B a fresh model begins with: HiPPO, or random (section 5.3 compares them)
 *   trainedA                  A, B and Δ are trained; else they stay as they began: LSSL-fixed
 *   discretization            bilinear, or either Euler rule
 *
 *   parameter   shape                           meaning
 *   A, B        (N, N), (N)                     not with LSSL-fixed
 *   logDelta    (dModel)                        Δ = exp(logDelta); not with LSSL-fixed
 *   C, D        (dModel, M, N), (dModel, M)
 *   out         (dModel M, dModel)              with outBias (dModel)
 *
 * Not as in the official code: the bias that it adds to y before GELU is left out; D and outBias are there.
 *
 * One layer is at once a convolution, with the filter that `krylovFilter` makes in O(N² length), and a recurrence, O(N²) a
 * step. `legt` has a window of 1: 1/Δ steps.
 */
import { legS, legT, type System } from "../math/hippo.ts";
import { random } from "../math/random.ts";
import { exp, gelu } from "../ops/activation.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { denseScan } from "../ops/denseScan.ts";
import { discretize } from "../ops/discretize.ts";
import { fftConv } from "../ops/fftConv.ts";
import { krylovFilter } from "../ops/krylovFilter.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import { elementsOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind } from "./backbone.ts";
import { type ConfigOf, configOf, onOff, oneOf, whole } from "./config.ts";
import { checkDelta, deltaFields, logDeltaDraw } from "./delta.ts";
import { type Draw, fanIn, linear, type NamedTensors, normal, type ParameterSource } from "./layers.ts";

/** A and B of a fresh model, by N. */
const systems = { legs: legS, legt: (N: number) => legT(N), random: randomSystem } as const;

export const lsslFields = {
  ...backboneFields,
  dState: whole("N, states per channel", 64),
  readouts: whole("M, outputs that each channel reads of its state", 1),
  initialization: oneOf("the A and B that a fresh model begins with", ["legs", "legt", "random"], "legs"),
  trainedA: onOff("A, B and Δ are trained", true),
  discretization: oneOf(
    "how the system is made discrete",
    ["bilinear", "euler", "backwardEuler"],
    "bilinear",
  ),
  ...deltaFields,
};

type LsslConfig = ConfigOf<typeof lsslFields>;

export const lsslKind: ModelKind<LsslConfig> = {
  name: "lssl",
  title: "LSSL",
  fields: lsslFields,
  ssmParameters: ["A", "B", "logDelta"],
  config(given) {
    const config = configOf("lssl", lsslFields, given);
    checkDelta("lssl", config);
    return config;
  },
  mixer: (config, source) => new Lssl(config, source),
};

/** The layer. u, y: (batch, length, dModel). */
export class Lssl implements Mixer {
  readonly parameters: NamedTensors;
  readonly #config: LsslConfig;
  /** A (1, N, N), B (1, N), log Δ: parameters, or the constants of LSSL-fixed. */
  readonly #system: () => { A: Tensor; B: Tensor; logDelta: Tensor };

  constructor(config: LsslConfig, source: ParameterSource) {
    const { dModel, dState, readouts, trainedA } = config;
    this.#config = config;
    const own = {
      C: source("C", [dModel, readouts, dState], normal(1)),
      D: source("D", [dModel, readouts], normal(1)),
      out: source("out", [dModel * readouts, dModel], fanIn(dModel * readouts)),
      outBias: source("outBias", [dModel], fanIn(dModel * readouts)),
    };
    const fixed = random(0);
    const constant: ParameterSource = (_name, shape, draw) =>
      own.D.device.tensor(
        Float32Array.from({ length: elementsOf(shape) }, (_, i) => draw(fixed, i)),
        shape,
      );
    const system = systemOf(config, trainedA ? source : constant);
    this.parameters = trainedA ? { ...system, ...own } : own;
    this.#system = () => ({
      A: reshape(system.A, [1, dState, dState]),
      B: reshape(system.B, [1, dState]),
      logDelta: system.logDelta,
    });
  }

  initialState(batch: number): NamedTensors {
    const { dModel, dState } = this.#config;
    return { ssm: this.parameters.D.device.zeros([batch, dModel, dState]) };
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors } {
    if (resets) {
      throw new UsageError("lssl: does not forget where a document begins. Give each its own sequence.");
    }
    return state ? this.#recurrence(u, state) : { y: this.#mix(this.#convolution(u)) };
  }

  /** The recurrence at length 1. */
  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const [batch, dModel] = u.shape;
    const next = this.#recurrence(reshape(u, [batch, 1, dModel]), state);
    return { y: reshape(next.y, [batch, dModel]), state: next.state };
  }

  #convolution(u: Tensor): Tensor {
    const { readouts, discretization } = this.#config;
    const { C, D } = this.parameters;
    const [batch, length, dModel] = u.shape;
    const { A, B, logDelta } = this.#system();
    const filter = krylovFilter(A, B, C, exp(logDelta), { length, discretization });
    const repeated = add(
      reshape(u, [batch, length, dModel, 1]),
      u.device.zeros([batch, length, dModel, readouts]),
    );
    const flat = [dModel * readouts] as const;
    return fftConv(reshape(repeated, [batch, length, ...flat]), reshape(filter, [...flat, length]), {
      D: reshape(D, flat),
    });
  }

  #recurrence(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const { C, D } = this.parameters;
    const { A, B, logDelta } = this.#system();
    const { Abar, Bbar } = discretize(A, B, exp(logDelta), this.#config.discretization);
    const scan = denseScan(u, Abar, Bbar, C, { state: state.ssm });
    const y = add(scan.y, mul(reshape(u, [...u.shape, 1]), D)); // (batch, length, dModel, readouts)
    const flat = reshape(y, [u.shape[0], u.shape[1], D.shape[0] * D.shape[1]]);
    return { y: this.#mix(flat), state: { ssm: scan.state } };
  }

  #mix(y: Tensor): Tensor {
    const { out, outBias } = this.parameters;
    return linear(gelu(y), out, outBias);
  }
}

function systemOf(config: LsslConfig, source: ParameterSource) {
  const { dModel, dState, initialization } = config;
  let system: System | undefined;
  const entry =
    (name: keyof System): Draw =>
    (_random, i) =>
      (system ??= systems[initialization](dState))[name][i];
  return {
    A: source("A", [dState, dState], entry("A")),
    B: source("B", [dState], entry("B")),
    logDelta: source("logDelta", [dModel], logDeltaDraw(config)),
  };
}

/** A of normal numbers / N, B of normal numbers: the random start of the official code. The same for every layer. */
function randomSystem(N: number): System {
  const stream = random(0, N);
  return {
    A: Float64Array.from({ length: N * N }, () => stream.normal() / N),
    B: Float64Array.from({ length: N }, () => stream.normal()),
  };
}
