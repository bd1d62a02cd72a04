import { add, addScalar, div, scale, sub } from "../ops/arithmetic.ts";
import { embedding } from "../ops/embedding.ts";
import { matmul } from "../ops/matmul.ts";
import { max, mean, sum } from "../ops/reduce.ts";
import { concat, slice } from "../ops/reshape.ts";
import type { Device } from "../tensor/device.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  Backbone,
  type BackboneConfig,
  type ForwardOptions,
  type Model,
  type Named,
  type Mixer,
  type StatefulOptions,
} from "./backbone.ts";
import { type ConfigOf, onOff, oneOf, whole } from "./config.ts";
import {
  collecting,
  constant,
  fanIn,
  linear,
  type NamedTensors,
  normal,
  type ParameterSource,
} from "./layers.ts";

export const readoutNames = ["each", "last", "mean", "max"] as const;
export type Readout = (typeof readoutNames)[number];

/** What makes a backbone a model of sequences of numbers, or of tokens, that ends in numbers or in classes. */
export const sequenceFields = {
  inputs: whole("numbers at each position, or size of the vocabulary where they are tokens"),
  tokens: onOff("the inputs are tokens, not numbers", false),
  outputs: whole("numbers that come out, or classes that are scored"),
  readout: oneOf(
    "what is read out: each position, the last one, or all of them pooled",
    readoutNames,
    "last",
  ),
};

export type SequenceConfig = Named & BackboneConfig & ConfigOf<typeof sequenceFields>;

/** Which positions count where sequences of a batch are of different lengths. */
export interface MaskOptions {
  /** (batch, length): 1 for a sequence's own positions, 0 for the padding behind them. Default: all are its own. */
  mask?: Tensor;
}

/**
 * A model of sequences: an encoder (linear, or an embedding of tokens), blocks, pooling, a linear head.
 *
 *   u (batch, length, inputs), or tokens (batch, length) i32 → y (batch, outputs), or, when each position is read out,
 *   (batch, length, outputs)
 *
 * Whether the outputs are numbers (regression) or scores of classes is the loss's affair.
 */
export class SequenceModel<Config extends SequenceConfig = SequenceConfig> implements Model {
  readonly device: Device;
  readonly config: Config;
  /** Every trainable tensor under its full name. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly backbone: Backbone;
  readonly #encode: (u: Tensor) => Tensor;
  readonly #head: { readonly weight: Tensor; readonly bias: Tensor };

  constructor(config: Config, source: ParameterSource, mixer: (source: ParameterSource) => Mixer) {
    const { inputs, tokens, outputs, dModel } = config;
    this.config = config;
    const parameters = new Map<string, Tensor>();
    const named = collecting(source, parameters);
    this.#encode = tokens ? embeddingEncoder(inputs, dModel, named) : linearEncoder(inputs, dModel, named);
    this.backbone = new Backbone(config, named, mixer);
    this.#head = {
      weight: named("head", [dModel, outputs], fanIn(dModel)),
      bias: named("headBias", [outputs], constant(0)),
    };
    this.parameters = parameters;
    this.device = this.#head.weight.device;
  }

  /** How many numbers are trained. */
  parameterCount(): number {
    return [...this.parameters.values()].reduce((sum, { buffer }) => sum + buffer.length, 0);
  }

  /** The state of `batch` sequences that have not begun. */
  initialState(batch: number): NamedTensors[] {
    return this.backbone.initialState(batch);
  }

  /** With a state the next one is returned; without, only where the backbone does. */
  forward(u: Tensor, options: StatefulOptions & MaskOptions): { y: Tensor; state: NamedTensors[] };
  forward(u: Tensor, options?: ForwardOptions & MaskOptions): { y: Tensor; state?: NamedTensors[] };
  forward(u: Tensor, options: ForwardOptions & MaskOptions = {}): { y: Tensor; state?: NamedTensors[] } {
    const { readout } = this.config;
    const last = readout === "last" && !options.mask && { lastOnly: true };
    const { x, state } = this.backbone.forward(this.#encode(u), { ...options, ...last });
    const y = linear(pools[readout](x, options.mask), this.#head.weight, this.#head.bias);
    return { y, ...(state && { state }) };
  }

  /**
   * The next position of each sequence: u (batch, inputs), or tokens (batch) → y (batch, outputs).
   * @throws UsageError for a model that pools over all positions: it has no output before the end.
   */
  step(u: Tensor, state: readonly NamedTensors[]): { y: Tensor; state: NamedTensors[] } {
    const { readout } = this.config;
    if (readout === "mean" || readout === "max") {
      throw new UsageError(`step: the model reads out the ${readout} of all positions. Use forward.`);
    }
    const next = this.backbone.step(this.#encode(u), state);
    return { y: linear(next.x, this.#head.weight, this.#head.bias), state: next.state };
  }
}

function linearEncoder(inputs: number, dModel: number, source: ParameterSource): (u: Tensor) => Tensor {
  const weight = source("encoder", [inputs, dModel], fanIn(inputs));
  const bias = source("encoderBias", [dModel], constant(0));
  return (u) => linear(u, weight, bias);
}

function embeddingEncoder(
  vocabulary: number,
  dModel: number,
  source: ParameterSource,
): (u: Tensor) => Tensor {
  const table = source("embedding", [dModel, vocabulary], normal(1));
  return (tokens) => embedding(tokens, table);
}

type Pool = (x: Tensor, mask: Tensor | undefined) => Tensor;

/** x (batch, length, dModel) → (batch, dModel), or x as it is. A mask says which positions count. */
const pools: Readonly<Record<Readout, Pool>> = {
  each: (x) => x,
  last: (x, mask) => (mask ? weighted(x, sub(mask, shifted(mask))) : reshape(x, [x.shape[0], x.shape[2]])),
  mean: (x, mask) => (mask ? weighted(x, div(mask, reshape(sum(mask, 1), [mask.shape[0], 1]))) : mean(x, 1)),
  max: (x, mask) => max(mask ? add(x, reshape(excluded(mask), [...mask.shape, 1])) : x, 1),
};

/** Σ over t of weights[t] x[t]: weights (batch, length). */
function weighted(x: Tensor, weights: Tensor): Tensor {
  const [batch, length, dModel] = x.shape;
  return reshape(matmul(reshape(weights, [batch, 1, length]), x), [batch, dModel]);
}

/** A mask one position earlier, so that mask − shifted is 1 at the last position of each sequence. */
function shifted(mask: Tensor): Tensor {
  const [, length] = mask.shape;
  return concat([slice(mask, 1, 1, length), scale(slice(mask, 1, length - 1, length), 0)], 1);
}

/** 0 where the mask is 1, and where it is 0 a number below every other. */
function excluded(mask: Tensor): Tensor {
  return scale(addScalar(mask, -1), 1e30);
}
