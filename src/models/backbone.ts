import { add } from "../ops/arithmetic.ts";
import { dropout } from "../ops/dropout.ts";
import { slice } from "../ops/reshape.ts";
import type { Device } from "../tensor/device.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type ConfigOf, type Fields, fraction, oneOf, whole } from "./config.ts";
import { FeedForward } from "./feedForward.ts";
import { type NamedTensors, type Norm, norm, normNames, type ParameterSource, within } from "./layers.ts";

/**
 * The part of a block that mixes over time: Mamba's, S4's, attention's.
 * u, y: (batch, length, dModel); what it remembers is a value, one row a sequence.
 */
export interface Mixer {
  readonly parameters: NamedTensors;
  /** The state of a sequence that has not begun. */
  initialState(batch: number): NamedTensors;
  /**
   * A whole sequence, or, with a state, the next piece of one. A layer that does not change over time (LTI) is a
   * convolution without a state, and returns none; with one it is the recurrence. `resets` (batch, length) i32: 1
   * where a new document begins.
   */
  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors };
  /** One token: u, y (batch, dModel). */
  step(u: Tensor, state: NamedTensors): Stepped;
}

/** What a mixer gives back when it was given a state. */
export interface Stepped {
  readonly y: Tensor;
  readonly state: NamedTensors;
}

/** A step as a piece of length 1: for mixers whose kernels carry the state, so that both give the same bits. */
export function stepByForward(mixer: Pick<Mixer, "forward">, u: Tensor, state: NamedTensors): Stepped {
  const [batch, dModel] = u.shape;
  const next = mixer.forward(reshape(u, [batch, 1, dModel]), state);
  return { y: reshape(next.y, [batch, dModel]), state: next.state! }; // given a state, forward returns the next
}

/** What every stack of blocks has, whatever is in them. */
export const backboneFields = {
  dModel: whole("D, width of the residual stream"),
  layers: whole("number of blocks"),
  norm: oneOf("normalisation of the residual stream", normNames, "rms"),
  normPlace: oneOf("where it stands, before a block or after it", ["pre", "post"], "pre"),
  normEpsilon: fraction("ε of every norm", 1e-5),
  dropout: fraction("part of what a block adds that is dropped in training", 0),
  feedForward: whole("hidden channels of a feed-forward part (SwiGLU) in each block, 0 for none", 0, 0),
};

export type BackboneConfig = ConfigOf<typeof backboneFields>;

/** Says what is in the blocks: the `name` of a ModelKind. */
export interface Named {
  readonly model: string;
}

/** A family of models: what is in their blocks. models/catalog.ts lists them. */
export interface ModelKind<Config extends BackboneConfig = BackboneConfig> {
  /** As it is chosen: "mamba". */
  readonly name: string;
  /** As people write it: "Mamba". */
  readonly title: string;
  /** Its whole config, `backboneFields` among them. */
  readonly fields: Fields;
  /** Parameters of its mixer that are the state space model itself, A, B and Δ: trained slowly, without decay. */
  readonly ssmParameters: readonly string[];
  /** Fills in what is not given. Throws a UsageError on what makes no model. */
  config(given: Readonly<Record<string, unknown>>): Config;
  mixer(config: Config, source: ParameterSource): Mixer;
}

/** What every model is, whatever goes in and comes out: what training and checkpoints need to know of it. */
export interface Model {
  readonly device: Device;
  readonly config: Named & BackboneConfig;
  /** Every trainable tensor under its full name. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly backbone: Backbone;
  /** How many numbers are trained. */
  parameterCount(): number;
  /** The state of `batch` sequences that have not begun. */
  initialState(batch: number): NamedTensors[];
}

/** Options of a forward pass that begins with a state, and so returns one. */
export type StatefulOptions = ForwardOptions & { state: readonly NamedTensors[] };

export interface ForwardOptions {
  /** Where the sequences stand: what an earlier call returned. Default: at their beginning. */
  state?: readonly NamedTensors[];
  /** (batch, length) i32, 1 where a new document begins in a packed batch: nothing before it is remembered. */
  resets?: Tensor;
  /** Only the last position comes out, (batch, 1, …). Default false. */
  lastOnly?: boolean;
  /** Drop in this call, as in training: a seed, (2) i32, for each of `branches`. Default: nothing is dropped. */
  seeds?: readonly Tensor[];
  /** Called with the residual stream after each branch ("layers.0", …) and after the last norm ("norm"). */
  observe?: (name: string, value: Tensor) => void;
}

/** x → after(x + layer(before(x))): pre-norm has no norm after, post-norm none before. */
interface Branch {
  readonly name: string;
  readonly layer: Mixer;
  readonly before: Norm;
  readonly after: Norm;
}

/**
 * A residual stream and the branches that add to it: in each block a mixer, then a feed-forward part if there is one.
 *   x, y (batch, length, dModel)
 */
export class Backbone {
  /** How many branches there are: each has a state, and a seed when it is dropped from. */
  readonly branches: number;
  readonly #branches: readonly Branch[];
  readonly #last: Norm;
  readonly #dropout: number;

  constructor(config: BackboneConfig, source: ParameterSource, mixer: (source: ParameterSource) => Mixer) {
    const { dModel, layers, feedForward, normPlace, normEpsilon } = config;
    const same: Norm = (x) => x;
    const normed = (name: string) => norm(config.norm, source, name, dModel, normEpsilon);
    const branch = (name: string, normName: string, layer: () => Mixer): Branch => {
      const own = normed(normName);
      const place = normPlace === "pre" ? { before: own, after: same } : { before: same, after: own };
      return { name, ...place, layer: layer() };
    };
    const branches: Branch[] = [];
    for (let i = 0; i < layers; i++) {
      const block = `layers.${i}`;
      branches.push(branch(block, `${block}.norm`, () => mixer(within(`${block}.mixer`, source))));
      if (feedForward === 0) continue;
      const part = `${block}.feedForward`;
      const make = () => new FeedForward(dModel, feedForward, layers, within(part, source));
      branches.push(branch(part, `${block}.feedForwardNorm`, make));
    }
    this.#branches = branches;
    this.branches = this.#branches.length;
    this.#last = normPlace === "pre" ? normed("norm") : same;
    this.#dropout = config.dropout;
  }

  initialState(batch: number): NamedTensors[] {
    return this.#branches.map(({ layer }) => layer.initialState(batch));
  }

  /** With a state the next one is returned; without, only where no branch was computed as a convolution. */
  forward(x: Tensor, options: StatefulOptions): { x: Tensor; state: NamedTensors[] };
  forward(x: Tensor, options?: ForwardOptions): { x: Tensor; state?: NamedTensors[] };
  forward(x: Tensor, options: ForwardOptions = {}): { x: Tensor; state?: NamedTensors[] } {
    const { state, resets, lastOnly = false, seeds, observe } = options;
    const states: NamedTensors[] = [];
    for (const [i, { name, layer, before, after }] of this.#branches.entries()) {
      const mixed = layer.forward(before(x), state?.[i], resets);
      if (mixed.state) states.push(mixed.state);
      x = after(add(x, seeds ? dropout(mixed.y, seeds[i], this.#dropout) : mixed.y));
      observe?.(name, x);
    }
    if (lastOnly) x = slice(x, 1, x.shape[1] - 1, x.shape[1]);
    x = this.#last(x);
    observe?.("norm", x);
    return states.length === this.branches ? { x, state: states } : { x };
  }

  /** One position: x (batch, dModel). */
  step(x: Tensor, state: readonly NamedTensors[]): { x: Tensor; state: NamedTensors[] } {
    const states: NamedTensors[] = [];
    for (const [i, { layer, before, after }] of this.#branches.entries()) {
      const mixed = layer.step(before(x), state[i]);
      states.push(mixed.state);
      x = after(add(x, mixed.y));
    }
    return { x: this.#last(x), state: states };
  }
}
