import { random } from "../math/random.ts";
import type { LabelledBatch, LabelledTask } from "./labelled.ts";
import type { LabelledSequence, LabelledSequences } from "./labelledSequences.ts";
import { fitScaling, type Scaling } from "./series.ts";
import { expectInteger, ignore } from "./task.ts";

export interface ClassificationConfig {
  readonly seed: number;
  /** The part of each class that is kept for validation, between 0 and 1; default 0.2. */
  readonly validationFraction?: number;
}

/** Labelled sequences as a task. */
export interface ClassificationTask extends LabelledTask {
  /** Positions of the longest sequence: the length at which nothing is cut off. */
  readonly longest: number;
  /** How many sequences there are to learn from, and to validate with. */
  readonly sizes: { readonly train: number; readonly validation: number };
}

/**
 * Labelled sequences as a task. Of each class a part is kept for validation, drawn by the seed; a class of one sequence
 * is only learned. Every input is standardised by the training sequences. A gap is filled with the last value before
 * it (0, the mean, before there was one); inputs with gaps come with a mask, 1 where they were measured.
 *
 *   inputs   value, its mask?, value, its mask?, …
 *
 * Training batches are random; the validation batches 0, 1, … go through the validation sequences once, in order, and
 * are then empty: `targets` all `ignore`. Sequences longer than the length that is asked for are cut behind it.
 * @throws RangeError for a fraction, a seed, an index, a batch or a length out of range, or when no class has two
 *   sequences.
 */
export function classificationTask(
  { source, classes, inputs, sequences }: LabelledSequences,
  { seed, validationFraction = 0.2 }: ClassificationConfig,
): ClassificationTask {
  const name = "classify";
  expectInteger(name, "the seed", seed, 0);
  if (!(validationFraction > 0 && validationFraction < 1)) {
    throw new RangeError(
      `${name}: the validation fraction must be above 0 and below 1, got ${validationFraction}.`,
    );
  }
  const { train, validation } = split(sequences, classes.length, seed, validationFraction);
  if (validation.length === 0) {
    throw new RangeError(
      `${name}: ${source} must have at least 2 sequences of some class, one to validate with.`,
    );
  }
  const channels = inputs.map((_, i) => channelOf(train, i, inputs.length));
  const width = channels.reduce((sum, { masked }) => sum + (masked ? 2 : 1), 0);

  const batchOf = (picks: readonly (LabelledSequence | undefined)[], length: number): LabelledBatch => {
    expectInteger(name, "the batch", picks.length, 1);
    expectInteger(name, "the length", length, 1);
    const batch = picks.length;
    const values = new Float32Array(batch * length * width);
    const lengths = new Int32Array(batch).fill(1); // an empty row has one position, which does not count
    const targets = new Int32Array(batch).fill(ignore);
    for (const [b, pick] of picks.entries()) {
      if (!pick) continue;
      lengths[b] = Math.min(length, pick.values.length / inputs.length);
      targets[b] = pick.label;
      const row = values.subarray(b * length * width, (b + 1) * length * width);
      write(pick.values.subarray(0, lengths[b] * inputs.length), channels, row);
    }
    return { batch, length, inputs: values, targets, lengths };
  };

  return {
    name,
    inputs: width,
    tokens: false,
    classes: classes.length,
    longest: sequences.reduce((most, { values }) => Math.max(most, values.length / inputs.length), 0),
    sizes: { train: train.length, validation: validation.length },
    train(index, batch, length) {
      const rows = Array.from({ length: batch }, (_, r) => random(seed, 0, index, r));
      return batchOf(
        rows.map((source) => train[source.integer(train.length)]),
        length,
      );
    },
    validation(index, batch, length) {
      expectInteger(name, "the index", index, 0);
      return batchOf(
        Array.from({ length: batch }, (_, r) => validation[index * batch + r]),
        length,
      );
    },
  };
}

interface Channel {
  readonly scaling: Scaling;
  readonly masked: boolean;
}

/** How input `i` is shown: scaled, and with a mask if it has gaps. */
function channelOf(train: readonly LabelledSequence[], i: number, inputs: number): Channel {
  const count = train.reduce((sum, { values }) => sum + values.length / inputs, 0);
  const column = new Float64Array(count);
  let at = 0;
  for (const { values } of train) for (let p = i; p < values.length; p += inputs) column[at++] = values[p];
  return { scaling: fitScaling(column, count), masked: column.some(Number.isNaN) };
}

/** values (length, inputs) → row (length, channels) */
function write(values: Float32Array, channels: readonly Channel[], row: Float32Array): void {
  const last = new Float64Array(channels.length);
  let place = 0;
  for (let p = 0; p < values.length; p += channels.length) {
    for (const [i, { scaling, masked }] of channels.entries()) {
      const value = values[p + i];
      if (!Number.isNaN(value)) last[i] = (value - scaling.mean) / scaling.deviation;
      row[place++] = last[i];
      if (masked) row[place++] = Number.isNaN(value) ? 0 : 1;
    }
  }
}

/** Holds a part of each class out, at least one of two, and never all. */
function split(
  sequences: readonly LabelledSequence[],
  classes: number,
  seed: number,
  fraction: number,
): { train: LabelledSequence[]; validation: LabelledSequence[] } {
  const own = Array.from({ length: classes }, (): LabelledSequence[] => []);
  for (const sequence of sequences) own[sequence.label].push(sequence);
  const train: LabelledSequence[] = [];
  const validation: LabelledSequence[] = [];
  for (const [label, members] of own.entries()) {
    const source = random(seed, 2, label); // 0 and 1 are the batches'
    const held = Math.min(Math.max(1, Math.round(members.length * fraction)), members.length - 1);
    for (let left = held; left > 0; left--) {
      validation.push(...members.splice(source.integer(members.length), 1));
    }
    train.push(...members);
  }
  return { train, validation };
}
