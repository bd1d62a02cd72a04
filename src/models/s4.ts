/**
 * S4: "Efficiently Modeling Long Sequences with Structured State Spaces" (Gu, Goel & Ré 2022, arXiv 2111.00396): for every
 * channel a state space model with the A of HiPPO, in the basis where it is diagonal plus low rank.
 *
 *   x′ = (Λ − Σ_r P_r P_r*) x + B u      y = 2 Re C x + D u
 *
 *   in config       symbol   meaning
 *   dState          N        states per channel; half of them, the conjugates of the others, are implied
 *   initialization           the measure of the HiPPO matrix that a fresh model begins with
 *   filterLength    L        steps that the filter has: no longer sequence is convolved
 *   bidirectional            a second C reads a system that runs backwards in time
 *
 *   parameter      shape                     meaning
 *   logAReal       (channels, n)             Λ = −exp(logAReal) − i AImag, so that A decays whatever is trained
 *   AImag          (channels, n)
 *   P              (rank, channels, n, 2)    rank 2 for LegT, else 1
 *   B              (channels, n, 2)
 *   Ctilde         (channels, n, 2)          C̃ = C (I − Ā^L): what the filter is made of without powers of Ā
 *   CtildeFuture   (channels, n, 2)          of the backward system
 *   logDelta       (channels)                Δ = exp(logDelta)
 *   D              (channels)
 *
 * n = N/2. All as in state-spaces/s4 (SSMKernelDPLR), which trains C̃ too, but L is a number of the config: there C̃ is
 * changed when a longer sequence comes.
 */
import { discreteDplr, truncatedReadout } from "../math/dplr.ts";
import { type Dplr, dplr, nplr } from "../math/nplr.ts";
import { exp, neg } from "../ops/activation.ts";
import { dplrFilter } from "../ops/dplrFilter.ts";
import { dplrReadout } from "../ops/dplrReadout.ts";
import { dplrScan } from "../ops/dplrScan.ts";
import { halfSystem } from "../ops/dplrSystem.ts";
import { fftConv } from "../ops/fftConv.ts";
import { concat } from "../ops/reshape.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind } from "./backbone.ts";
import { type ConfigOf, configOf, onOff, oneOf, whole } from "./config.ts";
import { checkDelta, deltaFields, logDeltaDraw } from "./delta.ts";
import { type Draw, type NamedTensors, normal, type ParameterSource } from "./layers.ts";
import { S4Block } from "./s4Block.ts";

/** The measures of math/nplr.ts by the names that state-spaces/s4 gives them. */
const measures = { legs: "legS", legt: "legT", lagt: "lagT", fourier: "fourier" } as const;
const measureNames = ["legs", "legt", "lagt", "fourier"] as const;

export const s4Fields = {
  dState: whole("N, states per channel", 64),
  initialization: oneOf("the HiPPO matrix that a fresh model begins with", measureNames, "legs"),
  filterLength: whole("L, steps of the filter: the longest sequence that is convolved", 1024),
  bidirectional: onOff("what follows is seen too: for whole sequences only", false),
  ...deltaFields,
};

export type S4Config = ConfigOf<typeof s4Fields>;

/** C̃ is trained like all else, as in state-spaces/s4. */
export const s4SsmParameters = ["logAReal", "AImag", "P", "B", "logDelta"];

const fields = { ...backboneFields, ...s4Fields };

export const s4Kind: ModelKind<ConfigOf<typeof fields>> = {
  name: "s4",
  title: "S4",
  fields,
  ssmParameters: s4SsmParameters,
  config(given) {
    const config = configOf("s4", fields, given);
    checkS4("s4", config);
    return config;
  },
  mixer: (config, source) => new S4Block(config.dModel, new S4(config, config.dModel, source), source),
};

/** @throws UsageError for sizes that make no S4. */
export function checkS4(who: string, config: S4Config): void {
  if (config.dState % 2 === 1) {
    throw new UsageError(
      `${who}: dState must be even, half of the states conjugates of others, got ${config.dState}.`,
    );
  }
  checkDelta(who, config);
}

/** The SSM alone. u, y: (batch, length, channels). */
export class S4 implements Mixer {
  readonly parameters: NamedTensors;
  readonly #filterLength: number;

  constructor(config: S4Config, channels: number, source: ParameterSource) {
    const { dState, initialization, filterLength, bidirectional } = config;
    const n = dState / 2;
    const begin = memoized(() => dplr(nplr(measures[initialization], dState)));
    const rank = initialization === "legt" ? 2 : 1;
    const real = ({ lambda }: Dplr, i: number) => Math.max(1e-4, -lambda[2 * (i % n)]); // as the reference clamps it
    const delta = new Float64Array(channels);
    const drawDelta = logDeltaDraw(config);
    const logDelta = source("logDelta", [channels], (random, i) => {
      const log = drawDelta(random, i);
      delta[i] = Math.exp(log);
      return log;
    });
    const drawC = readoutDraw(begin, delta, filterLength);
    this.#filterLength = filterLength;
    this.parameters = {
      logAReal: source("logAReal", [channels, n], (_, i) => Math.log(real(begin(), i))),
      AImag: source("AImag", [channels, n], (_, i) => -begin().lambda[2 * (i % n) + 1]),
      P: source("P", [rank, channels, n, 2], (_, i) => begin().P[repeated(i, channels, n)]),
      B: source("B", [channels, n, 2], (_, i) => begin().B[i % dState]),
      Ctilde: source("Ctilde", [channels, n, 2], drawC()),
      ...(bidirectional && { CtildeFuture: source("CtildeFuture", [channels, n, 2], drawC()) }),
      logDelta,
      D: source("D", [channels], normal(1)),
    };
  }

  /** C, the readout of the recurrence, is found here, once, and belongs to the state: it is that of the parameters now. */
  initialState(batch: number): NamedTensors {
    const { B, CtildeFuture } = this.parameters;
    if (CtildeFuture) throw noState();
    const { lambda, P, Ctilde, delta } = systemOf(this.parameters);
    const C = dplrReadout(lambda, P, Ctilde, delta, { length: this.#filterLength });
    return { ssm: B.device.zeros([batch, ...B.shape]), C };
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors } {
    if (resets)
      throw new UsageError("s4: does not forget where a document begins. Give each its own sequence.");
    return state ? this.#recurrence(u, state) : { y: this.#convolution(u) };
  }

  /** The recurrence is the scan at length 1: O(N) by the structure of Ā. */
  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const [batch, channels] = u.shape;
    const next = this.#recurrence(reshape(u, [batch, 1, channels]), state);
    return { y: reshape(next.y, [batch, channels]), state: next.state };
  }

  #convolution(u: Tensor): Tensor {
    const length = this.#filterLength;
    if (u.shape[1] > length) {
      throw new UsageError(
        `s4: a sequence must be at most filterLength = ${length} long to be convolved, got ${u.shape[1]}. ` +
          "Give it a state: a recurrence has no such limit.",
      );
    }
    const { CtildeFuture, D } = this.parameters;
    const { lambda, P, B, Ctilde, delta } = systemOf(this.parameters);
    const filter = (C: Tensor) => dplrFilter(lambda, P, B, C, delta, { length });
    return fftConv(u, filter(Ctilde), { D, ...(CtildeFuture && { future: filter(CtildeFuture) }) });
  }

  #recurrence(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const { CtildeFuture, D } = this.parameters;
    if (CtildeFuture) throw noState();
    const { lambda, P, B, delta } = systemOf(this.parameters);
    const next = dplrScan(u, lambda, P, B, state.C, delta, { D, state: state.ssm });
    return { y: next.y, state: { ssm: next.state, C: state.C } };
  }
}

/** A system as ops/dplrSystem.ts has it, of the parameters of a layer. */
function systemOf(parameters: NamedTensors): Record<"lambda" | "P" | "B" | "Ctilde" | "delta", Tensor> {
  const { logAReal, AImag, P, B, Ctilde, logDelta } = parameters;
  const column = (x: Tensor) => reshape(neg(x), [...x.shape, 1]);
  return { lambda: concat([column(exp(logAReal)), column(AImag)], 2), P, B, Ctilde, delta: exp(logDelta) };
}

/** Makes C̃ of a layer what it must be once its Δ is `rate` times as large, with the same C. */
export async function s4AtRate(
  parameters: NamedTensors,
  { filterLength: length }: S4Config,
  rate: number,
): Promise<void> {
  const { lambda, P, B, delta } = systemOf(parameters);
  for (const Ctilde of [parameters.Ctilde, parameters.CtildeFuture]) {
    if (!Ctilde) continue;
    const C = dplrReadout(lambda, P, Ctilde, delta, { length });
    const numbers = await Promise.all([lambda, P, B, C, delta].map((tensor) => tensor.read()));
    const [channels, n] = C.shape;
    const rows = Array.from({ length: channels }, (_, h) => {
      const half = halfSystem(numbers, { channels, n, rank: P.shape[0] }, h);
      const system = discreteDplr(half.lambda, half.P, half.B, rate * half.delta);
      return [...truncatedReadout(half.C, system, length)];
    });
    Ctilde.write(rows.flat());
  }
}

function noState(): UsageError {
  return new UsageError("s4: a bidirectional layer needs the whole sequence, it has no state.");
}

/** Where P (rank, n, 2) has element i of (rank, channels, n, 2). */
function repeated(i: number, channels: number, n: number): number {
  return Math.floor(i / (channels * 2 * n)) * 2 * n + (i % (2 * n));
}

/** Draws of C̃, of C of variance 1: a channel at its first element, once its Δ has been drawn. */
function readoutDraw(begin: () => Dplr, delta: Float64Array, length: number): () => Draw {
  return () => {
    let row: Float64Array = new Float64Array(0);
    return (random, i) => {
      const { lambda, P, B } = begin();
      const size = lambda.length;
      if (i % size === 0) {
        const rows = Array.from({ length: P.length / size }, (_, r) => P.subarray(r * size, (r + 1) * size));
        const system = discreteDplr(lambda, rows, B, delta[Math.floor(i / size)]);
        const C = Float64Array.from({ length: size }, () => Math.SQRT1_2 * random.normal());
        row = truncatedReadout(C, system, length);
      }
      return row[i % size];
    };
  };
}

/** The value of `make`, made when first asked for. */
function memoized<Value>(make: () => Value): () => Value {
  let value: Value | undefined;
  return () => (value ??= make());
}
