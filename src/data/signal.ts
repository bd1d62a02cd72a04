import { type Random, random } from "../math/random.ts";
import { expectInteger, type Split } from "./task.ts";

/**
 * One batch of signals and what a model should say of them, all row-major. A model speaks at every position; it is
 * asked at the last `asked` of them: 1 for a whole sequence, `length` for each sample.
 *   inputs (batch, length, channels)      targets (batch, asked, outputs), NaN where no answer is known
 */
export interface SignalBatch {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly asked: number;
  readonly outputs: number;
  readonly inputs: Float32Array;
  readonly targets: Float32Array;
}

/** A source of such batches, as `Task` is of tokens: each row a pure function of seed, split, index, row, length. */
export interface SignalTask {
  readonly name: string;
  readonly channels: number;
  readonly outputs: number;
  train(index: number, batch: number, length: number): SignalBatch;
  validation(index: number, batch: number, length: number): SignalBatch;
}

/** What a task must say of itself for `generatedSignals` to make its batches. */
export interface GeneratedSignals {
  readonly name: string;
  readonly seed: number;
  readonly channels: number;
  readonly outputs: number;
  /** Positions that are asked about in a sequence of this length; throws a RangeError for one that cannot be. */
  asked(length: number): number;
  /** Writes one sequence: inputs (length, channels), targets (asked, outputs), which come filled with 0. */
  row(random: Random, inputs: Float32Array, targets: Float32Array): void;
}

/**
 * The task whose rows are written one by one, each from a stream of its own: (seed; split, index, row).
 * @throws RangeError for a seed, an index, a batch or a length out of range.
 */
export function generatedSignals(task: GeneratedSignals): SignalTask {
  const { name, seed, channels, outputs } = task;
  expectInteger(name, "the seed", seed, 0);
  const batchOf =
    (split: Split) =>
    (index: number, batch: number, length: number): SignalBatch => {
      expectInteger(name, "the index", index, 0);
      expectInteger(name, "the batch", batch, 1);
      const asked = task.asked(length);
      const inputs = new Float32Array(batch * length * channels);
      const targets = new Float32Array(batch * asked * outputs);
      for (let r = 0; r < batch; r++) {
        const source = random(seed, split === "train" ? 0 : 1, index, r);
        const own = (values: Float32Array) =>
          values.subarray((r * values.length) / batch, ((r + 1) * values.length) / batch);
        task.row(source, own(inputs), own(targets));
      }
      return { batch, length, channels, asked, outputs, inputs, targets };
    };
  return { name, channels, outputs, train: batchOf("train"), validation: batchOf("validation") };
}
