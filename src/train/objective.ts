import { type Batch, ignore } from "../data/task.ts";
import type { ForwardOptions, Model } from "../models/backbone.ts";
import { LanguageModel } from "../models/languageModel.ts";
import type { NamedTensors } from "../models/layers.ts";
import { crossEntropy } from "../ops/crossEntropy.ts";
import { argmax } from "../ops/reduce.ts";
import type { Numbers } from "../tensor/backend.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The sizes that every batch has. */
export interface Extent {
  readonly batch: number;
  readonly length: number;
}

/** Where batches come from, each a pure function of its index. */
export interface BatchSource<B> {
  train(index: number, batch: number, length: number): B;
  validation(index: number, batch: number, length: number): B;
}

export const measureNames = ["accuracy", "mae"] as const;

/** What was counted over the answers of some batches. */
export interface Tally {
  /** Answers that have a target. */
  readonly counted: number;
  /** Summed over them: 1 for each right one (accuracy), or how far it is off (mae). */
  readonly sums: Readonly<Partial<Record<(typeof measureNames)[number], number>>>;
}

/** How a model does on some batches. */
export interface Score {
  /** Mean over the answers with a target: cross-entropy in nats, or squared error. */
  readonly loss: number;
  /** Fraction of the answers that were right, where answers are classes or tokens. */
  readonly accuracy?: number;
  /** Mean absolute error, where answers are numbers. */
  readonly mae?: number;
}

export interface Pass {
  /** The mean over the answers that have a target, (1). */
  readonly loss: Tensor;
  readonly predicted: Tensor;
  /** Where the sequences stand now, when the pass was given where they stood. */
  readonly state?: readonly NamedTensors[];
}

/** What a model is to do with batches of one kind, and how well it does. */
export interface Objective<B extends Extent = Batch> {
  readonly model: Model;
  /** Tensors for batches of this shape to be written into. */
  place(like: Extent & Partial<B>): NamedTensors;
  write(placed: NamedTensors, batch: B): void;
  forward(placed: NamedTensors, options?: ForwardOptions): Pass;
  tally(predicted: Numbers, batch: B): Tally;
  /** Positions start to start + length of a batch, where it may be read in pieces. */
  cut?(batch: B, start: number, length: number): B;
}

/** The next token at every position that has a target: mean cross-entropy in nats, and accuracy. */
export function languageObjective(model: LanguageModel): Objective<Batch> {
  const { device } = model;
  return {
    model,
    place: ({ batch, length }) => ({
      tokens: device.integers(new Int32Array(batch * length), [batch, length]),
      targets: device.integers(new Int32Array(batch * length), [batch, length]),
    }),
    write(placed, { tokens, targets }) {
      placed.tokens.write(tokens);
      placed.targets.write(targets);
    },
    forward({ tokens, targets }, options) {
      const { logits, state } = model.forward(tokens, options);
      return { loss: crossEntropy(logits, targets), predicted: argmax(logits), ...(state && { state }) };
    },
    tally: (predicted, { targets }) => tallyOfClasses(predicted, targets),
    cut: ({ batch, length, tokens, targets }, start, size) => {
      const part = (values: Int32Array) => columns(values, batch, length, start, size);
      return { batch, length: size, tokens: part(tokens), targets: part(targets) };
    },
  };
}

/** What a model is trained for: a language model to say the next token, any other what it is told. */
export function objectiveOf<B extends Extent>(of: LanguageModel | Objective<B>): Objective<B> {
  return of instanceof LanguageModel ? (languageObjective(of) as Objective<never> as Objective<B>) : of;
}

/** The mean loss of batches, and the means of what was tallied on them. */
export function scoreOf(loss: number, tallies: readonly Tally[]): Score {
  const counted = tallies.reduce((total, tally) => total + tally.counted, 0);
  const mean = (name: keyof Tally["sums"]) =>
    tallies.reduce((total, { sums }) => total + (sums[name] ?? NaN), 0) / counted;
  const named = measureNames.filter((name) => tallies.some(({ sums }) => name in sums));
  return { loss, ...Object.fromEntries(named.map((name) => [name, mean(name)])) };
}

/** How many of the answers that have a target were right. */
export function tallyOfClasses(predicted: ArrayLike<number>, targets: ArrayLike<number>): Tally {
  let right = 0;
  let counted = 0;
  for (let i = 0; i < targets.length; i++) {
    if (targets[i] === ignore) continue;
    counted++;
    if (predicted[i] === targets[i]) right++;
  }
  return { counted, sums: { accuracy: right } };
}

/** Columns start to start + size of a row-major (rows, width). */
function columns(values: Int32Array, rows: number, width: number, start: number, size: number): Int32Array {
  const part = new Int32Array(rows * size);
  for (let row = 0; row < rows; row++) {
    part.set(values.subarray(row * width + start, row * width + start + size), row * size);
  }
  return part;
}
