/**
 * HiPPO: "Recurrent Memory with Optimal Polynomial Projections" (Gu, Dao, Ermon, Rudra & Ré 2020, arXiv 2008.07669): a
 * memory whose A and B are not trained but given by a measure, and the gated RNN that uses it (section 4, figure 2).
 *
 *   memory     c[t] = Ā c[t−1] + B̄ f[t]                    the past of f in N coefficients; bilinear
 *   scaledLegs c′ = −(1/t) A c + (1/t) B f                 theorem 2: all of the past, uniformly; Ā and B̄ of sample k have Δ = 1/k
 *   HiPPO-RNN  h[t] = (1 − g) h[t−1] + g tanh(v)            g = σ(w), (v, w) = (u[t], h[t−1], c[t−1]) gates + gatesBias
 *              f[t] = h[t] toMemory                         y[t] = h[t]
 *   layer      f[t] = u[t] toMemory                         y[t] = c[t] out + outBias
 *
 *   in config   symbol   meaning
 *   dState      N        coefficients of a memory
 *   memories    M        memories side by side, each of a signal f of its own; the paper has one
 *   measure              which ages of the past count: math/hippo.ts
 *   window      θ        steps that the measure reaches back: the whole window, or the time constant of a decay; scaled LegS
 *                        has none
 *   recurrent            HiPPO-RNN, or the memory of the input alone as a layer
 *
 *   parameter   shape                                  meaning
 *   toMemory    (dModel, M)                            what is remembered
 *   gates       (2 dModel + M N, 2 dModel), gatesBias  of the RNN
 *   out         (M N, dModel), outBias                 of the layer
 *
 * `legs` is the time-invariant form of LegS, which forgets as e^−age. An RNN has no convolution, nor has a memory that changes
 * over time: `forward` takes one step after another, some fifteen calls each; scaled LegS solves for Ā in each, O(N³), where
 * math/projection.ts has a step in O(N).
 */
import { bilinear } from "../math/discretize.ts";
import { fourier, lagT, legS, legT, type System } from "../math/hippo.ts";
import { identity } from "../math/linalg.ts";
import { sigmoid, tanh } from "../ops/activation.ts";
import { add, div, mul, sub } from "../ops/arithmetic.ts";
import { denseScan } from "../ops/denseScan.ts";
import { discretize } from "../ops/discretize.ts";
import { matmul } from "../ops/matmul.ts";
import { concat, slice, split } from "../ops/reshape.ts";
import type { Device } from "../tensor/device.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind } from "./backbone.ts";
import { type ConfigOf, configOf, onOff, oneOf, positive, whole } from "./config.ts";
import { constant, fanIn, linear, type NamedTensors, type ParameterSource } from "./layers.ts";

const systems: Readonly<Record<string, (N: number) => System>> = {
  legt: legT,
  legs: legS,
  lagt: lagT,
  fourier,
};

export const hippoFields = {
  ...backboneFields,
  dState: whole("N, coefficients of a memory", 64),
  memories: whole("M, memories side by side", 1),
  measure: oneOf("which ages of the past count", ["legt", "legs", "scaledLegs", "lagt", "fourier"], "legt"),
  window: positive("θ, steps that the measure reaches back", 256),
  recurrent: onOff("a gated RNN that writes and reads the memory; else the memory of the input alone", true),
};

type HippoConfig = ConfigOf<typeof hippoFields>;

export const hippoKind: ModelKind<HippoConfig> = {
  name: "hippo",
  title: "HiPPO",
  fields: hippoFields,
  ssmParameters: [],
  config(given) {
    const config = configOf("hippo", hippoFields, given);
    const { measure, dState } = config;
    if (measure === "fourier" && dState % 2 === 1) {
      throw new UsageError(
        `hippo: dState must be even for Fourier, a cosine and a sine each, got ${dState}.`,
      );
    }
    return config;
  },
  mixer: (config, source) =>
    config.recurrent ? new HippoRnn(config, source) : new HippoLayer(config, source),
};

/** f (batch, length, M) → c (batch, length, M N); the state has the last c, (batch, M, N). */
interface Memory {
  initialState(batch: number): { readonly memory: Tensor } & NamedTensors;
  read(f: Tensor, state?: NamedTensors): { c: Tensor; state: NamedTensors };
}

function createMemory(config: HippoConfig, device: Device): Memory {
  return config.measure === "scaledLegs" ? new ScaledMemory(config, device) : new FixedMemory(config, device);
}

/** Memories whose Ā and B̄ are the same at all times. */
class FixedMemory implements Memory {
  readonly #Abar: Tensor;
  readonly #Bbar: Tensor;
  /** Reads the coefficients as they are. */
  readonly #C: Tensor;

  constructor({ dState: N, memories, measure, window }: HippoConfig, device: Device) {
    const { A, B } = systems[measure](N);
    const { Abar, Bbar } = bilinear(A, B, 1 / window);
    const each = (numbers: Float64Array, ...shape: number[]) =>
      device.tensor(
        Float32Array.from({ length: memories * numbers.length }, (_, i) => numbers[i % numbers.length]),
        [memories, ...shape],
      );
    this.#Abar = each(Abar, N, N);
    this.#Bbar = each(Bbar, N);
    this.#C = each(identity(N), N, N);
  }

  initialState(batch: number): { memory: Tensor } {
    return { memory: this.#Bbar.device.zeros([batch, ...this.#Bbar.shape]) };
  }

  read(f: Tensor, state?: NamedTensors): { c: Tensor; state: NamedTensors } {
    const [batch, length] = f.shape;
    const scan = denseScan(f, this.#Abar, this.#Bbar, this.#C, { state: state?.memory });
    const [memories, N] = this.#Bbar.shape;
    return { c: reshape(scan.y, [batch, length, memories * N]), state: { memory: scan.state } };
  }
}

/** Scaled LegS. All sequences and memories are at the same sample, `samples` (1) of them so far, so that they share Ā and B̄. */
class ScaledMemory implements Memory {
  readonly #memories: number;
  readonly #A: Tensor;
  readonly #B: Tensor;
  readonly #C: Tensor;
  readonly #one: Tensor;

  constructor({ dState: N, memories }: HippoConfig, device: Device) {
    const { A, B } = legS(N);
    this.#memories = memories;
    this.#A = device.tensor(A, [1, N, N]);
    this.#B = device.tensor(B, [1, N]);
    this.#C = device.tensor(identity(N), [1, N, N]);
    this.#one = device.tensor([1], [1]);
  }

  initialState(batch: number): { memory: Tensor; samples: Tensor } {
    const { device, shape } = this.#B;
    return { memory: device.zeros([batch, this.#memories, shape[1]]), samples: device.zeros([1]) };
  }

  read(f: Tensor, state?: NamedTensors): { c: Tensor; state: NamedTensors } {
    const [batch, length, memories] = f.shape;
    const N = this.#B.shape[1];
    let { memory, samples } = state ?? this.initialState(batch);
    memory = reshape(memory, [batch * memories, 1, N]);
    const past: Tensor[] = [];
    for (let t = 0; t < length; t++) {
      samples = add(samples, this.#one); // k, exact in float32 to 2²⁴
      const { Abar, Bbar } = discretize(this.#A, this.#B, div(this.#one, samples));
      const sample = reshape(slice(f, 1, t, t + 1), [batch * memories, 1, 1]);
      memory = denseScan(sample, Abar, Bbar, this.#C, { state: memory }).state;
      past.push(reshape(memory, [batch, 1, memories * N]));
    }
    return { c: joined(past), state: { memory: reshape(memory, [batch, memories, N]), samples } };
  }
}

/** The memory as a layer. u, y: (batch, length, dModel). */
export class HippoLayer implements Mixer {
  readonly parameters: NamedTensors;
  readonly #memory: Memory;

  constructor(config: HippoConfig, source: ParameterSource) {
    const { dModel, dState, memories } = config;
    this.parameters = {
      toMemory: source("toMemory", [dModel, memories], fanIn(dModel)),
      out: source("out", [memories * dState, dModel], fanIn(memories * dState)),
      outBias: source("outBias", [dModel], constant(0)),
    };
    this.#memory = createMemory(config, this.parameters.out.device);
  }

  initialState(batch: number): NamedTensors {
    return this.#memory.initialState(batch);
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state: NamedTensors } {
    refuseResets(resets);
    const { toMemory, out, outBias } = this.parameters;
    const next = this.#memory.read(matmul(u, toMemory), state);
    return { y: linear(next.c, out, outBias), state: next.state };
  }

  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    return asSequence(u, (one) => this.forward(one, state));
  }
}

/** The HiPPO-RNN. u, y: (batch, length, dModel). */
export class HippoRnn implements Mixer {
  readonly parameters: NamedTensors;
  readonly #memory: Memory;

  constructor(config: HippoConfig, source: ParameterSource) {
    const { dModel, dState, memories } = config;
    const inputs = 2 * dModel + memories * dState;
    this.parameters = {
      toMemory: source("toMemory", [dModel, memories], fanIn(dModel)),
      gates: source("gates", [inputs, 2 * dModel], fanIn(inputs)),
      gatesBias: source("gatesBias", [2 * dModel], constant(0)),
    };
    this.#memory = createMemory(config, this.parameters.gates.device);
  }

  initialState(batch: number): NamedTensors {
    const { toMemory } = this.parameters;
    const h = toMemory.device.zeros([batch, toMemory.shape[0]]);
    return { h, ...this.#memory.initialState(batch) };
  }

  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state: NamedTensors } {
    refuseResets(resets);
    const [batch, length, dModel] = u.shape;
    let now = state ?? this.initialState(batch);
    const outputs: Tensor[] = [];
    for (let t = 0; t < length; t++) {
      const next = this.step(reshape(slice(u, 1, t, t + 1), [batch, dModel]), now);
      outputs.push(reshape(next.y, [batch, 1, dModel]));
      now = next.state;
    }
    return { y: joined(outputs), state: now };
  }

  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const { toMemory, gates, gatesBias } = this.parameters;
    const [batch, dModel] = u.shape;
    const { h, memory } = state;
    const remembered = reshape(memory, [batch, memory.shape[1] * memory.shape[2]]);
    const both = linear(concat([u, h, remembered], 1), gates, gatesBias);
    const [v, w] = split(both, [dModel, dModel]);
    const y = add(h, mul(sigmoid(w), sub(tanh(v), h)));
    const f = reshape(matmul(y, toMemory), [batch, 1, toMemory.shape[1]]);
    return { y, state: { h: y, ...this.#memory.read(f, state).state } };
  }
}

/** All parts along time, eight at a time, which is what `concat` takes. */
function joined(parts: readonly Tensor[]): Tensor {
  if (parts.length === 1) return parts[0];
  const groups = Array.from({ length: Math.ceil(parts.length / 8) }, (_, i) => parts.slice(8 * i, 8 * i + 8));
  return joined(groups.map((group) => (group.length === 1 ? group[0] : concat(group, 1))));
}

/** One token as a sequence of one. */
function asSequence(
  u: Tensor,
  forward: (u: Tensor) => { y: Tensor; state: NamedTensors },
): { y: Tensor; state: NamedTensors } {
  const [batch, dModel] = u.shape;
  const { y, state } = forward(reshape(u, [batch, 1, dModel]));
  return { y: reshape(y, [batch, dModel]), state };
}

function refuseResets(resets: Tensor | undefined): void {
  if (resets)
    throw new UsageError("hippo: does not forget where a document begins. Give each its own sequence.");
}
