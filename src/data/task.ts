import { type Random, random } from "../math/random.ts";

/**
 * One batch of sequences. tokens, targets: (batch, length) row-major.
 * targets[i] is what the model should say after tokens[i], or `ignore`.
 */
export interface Batch {
  readonly batch: number;
  readonly length: number;
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
}

/** The target of a position that carries no loss. */
export const ignore = -100;

/**
 * A source of batches. Row r of batch `index` is a pure function of the seed, the split, the index, r and the length:
 * a run can be resumed at any step, and neither the batch size nor the number of threads changes a sequence.
 * The two splits, and all batches and rows of each, draw from disjoint streams of random numbers.
 */
export interface Task {
  readonly name: string;
  readonly vocabulary: number;
  /** Training batch `index`. Its length is the one asked for, plus what the task appends (selectiveCopying). */
  train(index: number, batch: number, length: number): Batch;
  validation(index: number, batch: number, length: number): Batch;
}

export type Split = "train" | "validation";

/** What a task must say of itself for `sequenceTask` to make its batches. */
export interface SequenceTask {
  readonly name: string;
  readonly vocabulary: number;
  readonly seed: number;
  /** The size of a row for this `length`; throws a RangeError for a length that the task cannot have. */
  rowLength(length: number): number;
  /** Writes one sequence. `targets` comes filled with `ignore`. */
  row(random: Random, tokens: Int32Array, targets: Int32Array, split: Split): void;
}

/**
 * The task whose rows are written one by one, each from a stream of its own: (seed; split, index, row).
 * @throws RangeError for a seed, an index, a batch or a length out of range.
 */
export function sequenceTask({ name, vocabulary, seed, rowLength, row }: SequenceTask): Task {
  expectInteger(name, "the seed", seed, 0);
  const batchOf =
    (split: Split) =>
    (index: number, batch: number, length: number): Batch => {
      expectInteger(name, "the index", index, 0);
      expectInteger(name, "the batch", batch, 1);
      const size = rowLength(length);
      const tokens = new Int32Array(batch * size);
      const targets = new Int32Array(batch * size).fill(ignore);
      for (let r = 0; r < batch; r++) {
        const source = random(seed, split === "train" ? 0 : 1, index, r);
        row(
          source,
          tokens.subarray(r * size, (r + 1) * size),
          targets.subarray(r * size, (r + 1) * size),
          split,
        );
      }
      return { batch, length: size, tokens, targets };
    };
  return { name, vocabulary, train: batchOf("train"), validation: batchOf("validation") };
}

/** Refuses what is not an integer of at least `least`. */
export function expectInteger(who: string, what: string, value: number, least: number): void {
  if (!(Number.isSafeInteger(value) && value >= least)) {
    throw new RangeError(`${who}: ${what} must be an integer of at least ${least}, got ${value}.`);
  }
}
