/**
 * S4D: "On the Parameterization and Initialization of Diagonal State Space Models" (Gu, Gupta, Goel & Ré 2022, arXiv
 * 2206.11893): for every channel a state space model whose A is diagonal.
 *
 *   x′ = Λ x + B u      y = 2 Re C x + D u
 *
 *   in config       symbol   meaning
 *   dState          N        states per channel; for a complex Λ half of them, the conjugates of the others, are implied
 *   initialization           which Λ a fresh model begins with (section 5): the names of the paper
 *   discretization           zero-order hold or bilinear
 *   bidirectional            a second C reads a system that runs backwards in time
 *
 *   parameter   shape                     meaning
 *   logAReal    (channels, n)             Λ = −exp(logAReal) + i AImag, so that it decays whatever is trained
 *   AImag       (channels, n)             not with S4D-Real, whose Λ is real
 *   C           (channels, n, 2)          complex; (channels, n) with S4D-Real
 *   CFuture     as C                      of the backward system
 *   logDelta    (channels)                Δ = exp(logDelta)
 *   D           (channels)
 *
 * n = N/2, or N with S4D-Real. B is all ones and not trained: only B C counts. That, and the sign of AImag, are those of
 * the standalone s4d.py of state-spaces/s4.
 */
import { s4dInv, s4dLin, s4dReal } from "../math/diagonal.ts";
import { dplr, nplr } from "../math/nplr.ts";
import { exp, neg } from "../ops/activation.ts";
import { diagonalFilter } from "../ops/diagonalFilter.ts";
import { diagonalScan } from "../ops/diagonalScan.ts";
import { fftConv } from "../ops/fftConv.ts";
import { concat } from "../ops/reshape.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind, stepByForward, type Stepped } from "./backbone.ts";
import { type ConfigOf, configOf, onOff, oneOf, whole } from "./config.ts";
import { checkDelta, deltaFields, logDeltaDraw } from "./delta.ts";
import { type Draw, type NamedTensors, normal, type ParameterSource } from "./layers.ts";
import { S4Block } from "./s4Block.ts";

/** Λ of a fresh model, (n, 2), by N. */
const spectra = {
  lin: s4dLin,
  inv: s4dInv,
  legs: (N: number) => dplr(nplr("legS", N)).lambda,
  real: (N: number) => s4dReal(2 * N),
} as const;

export const s4dFields = {
  dState: whole("N, states per channel", 64),
  initialization: oneOf("the A that a fresh model begins with", ["lin", "inv", "legs", "real"], "lin"),
  discretization: oneOf("how the system is made discrete", ["zoh", "bilinear"], "zoh"),
  bidirectional: onOff("what follows is seen too: for whole sequences only", false),
  ...deltaFields,
};

type S4DConfig = ConfigOf<typeof s4dFields>;

export const s4dSsmParameters = ["logAReal", "AImag", "logDelta"];

const fields = { ...backboneFields, ...s4dFields };

export const s4dKind: ModelKind<ConfigOf<typeof fields>> = {
  name: "s4d",
  title: "S4D",
  fields,
  ssmParameters: s4dSsmParameters,
  config(given) {
    const config = configOf("s4d", fields, given);
    checkS4D("s4d", config);
    return config;
  },
  mixer: (config, source) => new S4Block(config.dModel, new S4D(config, config.dModel, source), source),
};

/** @throws UsageError for sizes that make no S4D. */
export function checkS4D(who: string, config: S4DConfig): void {
  const { dState, initialization } = config;
  if (dState % 2 === 1 && initialization !== "real") {
    throw new UsageError(
      `${who}: dState must be even, half of the states conjugates of others, got ${dState}.`,
    );
  }
  checkDelta(who, config);
}

/** The SSM alone. u, y: (batch, length, channels). */
export class S4D implements Mixer {
  readonly parameters: NamedTensors;
  readonly #discretization: S4DConfig["discretization"];
  /** channels, n. */
  readonly #sizes: readonly [channels: number, n: number];

  constructor(config: S4DConfig, channels: number, source: ParameterSource) {
    const { dState, initialization, bidirectional } = config;
    const real = initialization === "real";
    const n = real ? dState : dState / 2;
    const lambda = lambdaDraw(() => spectra[initialization](dState), n);
    const shapeOfC = real ? [channels, n] : [channels, n, 2];
    this.#discretization = config.discretization;
    this.parameters = {
      logAReal: source("logAReal", [channels, n], (random, i) => Math.log(-lambda(0)(random, i))),
      ...(!real && { AImag: source("AImag", [channels, n], (random, i) => -lambda(1)(random, i)) }),
      C: source("C", shapeOfC, normal(Math.SQRT1_2)), // a complex number of variance 1
      ...(bidirectional && { CFuture: source("CFuture", shapeOfC, normal(Math.SQRT1_2)) }),
      logDelta: source("logDelta", [channels], logDeltaDraw(config)),
      D: source("D", [channels], normal(1)),
    };
    this.#sizes = [channels, n];
  }

  initialState(batch: number): NamedTensors {
    return { ssm: this.parameters.D.device.zeros([batch, ...this.#sizes, 2]) };
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors } {
    if (resets)
      throw new UsageError("s4d: does not forget where a document begins. Give each its own sequence.");
    return state ? this.#recurrence(u, state) : { y: this.#convolution(u) };
  }

  step(u: Tensor, state: NamedTensors): Stepped {
    return stepByForward(this, u, state);
  }

  #convolution(u: Tensor): Tensor {
    const { C, CFuture, D } = this.parameters;
    const options = { length: u.shape[1], discretization: this.#discretization };
    const [lambda, delta] = [this.#lambda(), this.#delta()];
    const filter = (C: Tensor) => diagonalFilter(lambda, this.#B(), this.#complex(C), delta, options);
    return fftConv(u, filter(C), { D, ...(CFuture && { future: filter(CFuture) }) });
  }

  #recurrence(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const { C, CFuture, D } = this.parameters;
    if (CFuture)
      throw new UsageError("s4d: a bidirectional layer needs the whole sequence, it has no state.");
    const options = { state: state.ssm, D, discretization: this.#discretization };
    const next = diagonalScan(u, this.#lambda(), this.#B(), this.#complex(C), this.#delta(), options);
    return { y: next.y, state: { ssm: next.state } };
  }

  #delta(): Tensor {
    return exp(this.parameters.logDelta);
  }

  /** Λ (channels, n, 2). */
  #lambda(): Tensor {
    const { logAReal, AImag } = this.parameters;
    const column = (x: Tensor) => reshape(x, [...this.#sizes, 1]);
    return concat([column(neg(exp(logAReal))), AImag ? column(AImag) : this.#zeros()], 2);
  }

  /** B (channels, n, 2), all ones: a constant of the program that it is captured in. */
  #B(): Tensor {
    const [channels, n] = this.#sizes;
    const ones = Float32Array.from({ length: channels * n * 2 }, (_, i) => 1 - (i % 2));
    return this.parameters.D.device.tensor(ones, [channels, n, 2]);
  }

  /** What stands for the imaginary parts of a real Λ and C (channels, n, 1). */
  #zeros(): Tensor {
    return this.parameters.D.device.zeros([...this.#sizes, 1]);
  }

  /** C (channels, n, 2), where it is real too. */
  #complex(C: Tensor): Tensor {
    return C.shape.length === 3 ? C : concat([reshape(C, [...this.#sizes, 1]), this.#zeros()], 2);
  }
}

/** Draws the real (0) or imaginary (1) parts of Λ, the same for all channels; it is computed when first asked for. */
function lambdaDraw(spectrum: () => Float64Array, n: number): (part: 0 | 1) => Draw {
  let lambda: Float64Array | undefined;
  return (part) => (_random, i) => {
    lambda ??= spectrum();
    return lambda[2 * (i % n) + part];
  };
}
