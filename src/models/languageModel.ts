import { embedding } from "../ops/embedding.ts";
import { matmul } from "../ops/matmul.ts";
import type { Device } from "../tensor/device.ts";
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
import { type ConfigOf, onOff, whole } from "./config.ts";
import { collecting, type NamedTensors, normal, type ParameterSource } from "./layers.ts";

/** What makes a backbone a language model. */
export const languageFields = {
  vocabulary: whole("V, rows of the embedding; token ids are below it"),
  tiedHead: onOff("the head multiplies with the embedding table", true),
};

export type LanguageConfig = Named & BackboneConfig & ConfigOf<typeof languageFields>;

/**
 * A language model: embedding, blocks, a head.
 *
 *   tokens (batch, length) i32 → logits (batch, length, vocabulary)
 *
 * Linear weights are (in, out). The table is (dModel, vocabulary), one column a token, so that the tied head is an
 * ordinary product; reading a column costs dModel cache lines, nothing beside the head.
 */
export class LanguageModel<Config extends LanguageConfig = LanguageConfig> implements Model {
  readonly device: Device;
  readonly config: Config;
  /** Every trainable tensor under its full name, e.g. "layers.0.mixer.logA". */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly backbone: Backbone;
  readonly #table: Tensor;
  readonly #head: Tensor;

  constructor(config: Config, source: ParameterSource, mixer: (source: ParameterSource) => Mixer) {
    const { vocabulary, dModel, tiedHead } = config;
    this.config = config;
    const parameters = new Map<string, Tensor>();
    const named = collecting(source, parameters);
    this.#table = named("embedding", [dModel, vocabulary], normal(0.02));
    this.backbone = new Backbone(config, named, mixer);
    this.#head = tiedHead ? this.#table : named("head", [dModel, vocabulary], normal(0.02));
    this.parameters = parameters;
    this.device = this.#table.device;
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
  forward(tokens: Tensor, options: StatefulOptions): { logits: Tensor; state: NamedTensors[] };
  forward(tokens: Tensor, options?: ForwardOptions): { logits: Tensor; state?: NamedTensors[] };
  forward(tokens: Tensor, options: ForwardOptions = {}): { logits: Tensor; state?: NamedTensors[] } {
    const { x, state } = this.backbone.forward(embedding(tokens, this.#table), options);
    return { logits: matmul(x, this.#head), ...(state && { state }) };
  }

  /** The next token of each sequence: tokens (batch) i32 → logits (batch, vocabulary). */
  step(tokens: Tensor, state: readonly NamedTensors[]): { logits: Tensor; state: NamedTensors[] } {
    const next = this.backbone.step(embedding(tokens, this.#table), state);
    return { logits: matmul(next.x, this.#head), state: next.state };
  }
}
