import { embedding } from "../ops/embedding.ts";
import { add } from "../ops/arithmetic.ts";
import { matmul } from "../ops/matmul.ts";
import { slice } from "../ops/reshape.ts";
import { rmsNorm } from "../ops/rmsNorm.ts";
import type { Device } from "../tensor/device.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { constant, type NamedTensors, normal, type ParameterSource } from "./layers.ts";

/**
 * The part of a block that mixes over time: Mamba's, later S4's and attention's.
 * u, y: (batch, length, dModel); what it remembers is a value, one row a sequence.
 */
export interface Mixer {
  readonly parameters: NamedTensors;
  /** The state of a sequence that has not begun. */
  initialState(batch: number): NamedTensors;
  /** A whole sequence, or the next piece of one. `resets` (batch, length) i32: 1 where a new document begins. */
  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state: NamedTensors };
  /** One token: u, y (batch, dModel). */
  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors };
}

/** The sizes that every language model has. */
export interface BackboneConfig {
  /** V: rows of the embedding; token ids are below it. */
  readonly vocabulary: number;
  /** D: width of the residual stream. */
  readonly dModel: number;
  /** Number of blocks. */
  readonly layers: number;
  /** ε of every norm. Default 1e-5. */
  readonly normEpsilon: number;
  /** The head multiplies with the embedding table. Default true. */
  readonly tiedHead: boolean;
}

export interface ForwardOptions {
  /** Where the sequences stand: what an earlier call returned. Default: at their beginning. */
  state?: readonly NamedTensors[];
  /** (batch, length) i32, 1 where a new document begins in a packed batch: nothing before it is remembered. */
  resets?: Tensor;
  /** Logits of the last position only, (batch, 1, vocabulary). Default false. */
  lastOnly?: boolean;
  /** Called with the residual stream after each layer ("layers.0", …) and after the last norm ("norm"). */
  observe?: (name: string, value: Tensor) => void;
}

/**
 * A language model: embedding, blocks of x + mixer(RMSNorm(x)), a last norm, a head.
 *
 *   tokens (batch, length) i32 → logits (batch, length, vocabulary)
 *
 * Linear weights are (in, out). The table is (dModel, vocabulary), one column a token, so that the tied head is an
 * ordinary product; reading a column costs dModel cache lines, nothing beside the head.
 */
export class LanguageModel<Config extends BackboneConfig = BackboneConfig> {
  readonly device: Device;
  readonly config: Config;
  /** Every trainable tensor under its full name, e.g. "layers.0.mixer.logA". */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly #mixers: readonly Mixer[];
  readonly #table: Tensor;
  readonly #norms: readonly Tensor[];
  readonly #lastNorm: Tensor;
  readonly #head: Tensor;

  constructor(config: Config, source: ParameterSource, mixer: (source: ParameterSource) => Mixer) {
    const { vocabulary, dModel, layers } = config;
    this.config = config;
    const parameters = new Map<string, Tensor>();
    const named: ParameterSource = (name, shape, draw) => {
      const tensor = source(name, shape, draw);
      parameters.set(name, tensor);
      return tensor;
    };
    this.#table = named("embedding", [dModel, vocabulary], normal(0.02));
    const norms: Tensor[] = [];
    const mixers: Mixer[] = [];
    for (let i = 0; i < layers; i++) {
      norms.push(named(`layers.${i}.norm`, [dModel], constant(1)));
      mixers.push(mixer((name, shape, draw) => named(`layers.${i}.mixer.${name}`, shape, draw)));
    }
    this.#norms = norms;
    this.#mixers = mixers;
    this.#lastNorm = named("norm", [dModel], constant(1));
    this.#head = config.tiedHead ? this.#table : named("head", [dModel, vocabulary], normal(0.02));
    this.parameters = parameters;
    this.device = this.#table.device;
  }

  /** How many numbers are trained. */
  parameterCount(): number {
    return [...this.parameters.values()].reduce((sum, { buffer }) => sum + buffer.length, 0);
  }

  /** The state of `batch` sequences that have not begun. Its size does not depend on how many tokens will follow. */
  initialState(batch: number): NamedTensors[] {
    return this.#mixers.map((mixer) => mixer.initialState(batch));
  }

  forward(tokens: Tensor, options: ForwardOptions = {}): { logits: Tensor; state: NamedTensors[] } {
    const { state, resets, lastOnly = false, observe } = options;
    const states: NamedTensors[] = [];
    let x = embedding(tokens, this.#table); // (batch, length, dModel)
    for (const [i, mixer] of this.#mixers.entries()) {
      const mixed = mixer.forward(this.#norm(x, this.#norms[i]), state?.[i], resets);
      states.push(mixed.state);
      x = add(x, mixed.y);
      observe?.(`layers.${i}`, x);
    }
    if (lastOnly) x = slice(x, 1, x.shape[1] - 1, x.shape[1]);
    x = this.#norm(x, this.#lastNorm);
    observe?.("norm", x);
    return { logits: matmul(x, this.#head), state: states };
  }

  /** The next token of each sequence: tokens (batch) i32 → logits (batch, vocabulary). */
  step(tokens: Tensor, state: readonly NamedTensors[]): { logits: Tensor; state: NamedTensors[] } {
    const states: NamedTensors[] = [];
    let x = embedding(tokens, this.#table); // (batch, dModel)
    for (const [i, mixer] of this.#mixers.entries()) {
      const mixed = mixer.step(this.#norm(x, this.#norms[i]), state[i]);
      states.push(mixed.state);
      x = add(x, mixed.y);
    }
    return { logits: matmul(this.#norm(x, this.#lastNorm), this.#head), state: states };
  }

  #norm(x: Tensor, gain: Tensor): Tensor {
    return rmsNorm(x, gain, this.config.normEpsilon);
  }
}
