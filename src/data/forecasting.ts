import { FormatError } from "../tensor/errors.ts";
import { random } from "../math/random.ts";
import { fitScaling, type Scaling, type Series } from "./series.ts";
import type { SignalBatch, SignalTask } from "./signal.ts";
import { expectInteger, type Split } from "./task.ts";

export const normalizations = ["last", "mean", "none"] as const;

/** How a series is shown to a model: all that must be kept to forecast with the model later. */
export interface View {
  /** Columns that are forecast: each is a sequence of its own, and all of them share the model. */
  readonly targets: readonly string[];
  /** Columns that the model sees beside each of them. */
  readonly inputs: readonly string[];
  /** Of every column above, fitted on the training part. */
  readonly scaling: Readonly<Record<string, Scaling>>;
  /** Columns with gaps in the training part: they come with a mask. One such target gives all of them a mask. */
  readonly gaps: readonly string[];
  /** Rows that the model has read when its forecast counts. */
  readonly context: number;
  /** Rows that it forecasts. */
  readonly horizon: number;
  /**
   * What forecasts are relative to, so that a shift of the whole series shifts them likewise: the last value, the
   * running mean (plain over the first `context` rows, then forgetting over as many), or nothing. With the first two
   * the target is seen relative to its running mean.
   */
  readonly normalization: (typeof normalizations)[number];
}

/** Rows 0 … train − 1 are to learn from, as many as `validation` says after them to choose by, then `test`. */
export interface Parts {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/** The view of a series, its scaling and masks fitted on the rows before `trained`. */
export function fitView(series: Series, trained: number, view: Omit<View, "scaling" | "gaps">): View {
  const names = [...new Set([...view.targets, ...view.inputs])];
  const column = (name: string) => columnIn(series, name);
  return {
    ...view,
    scaling: Object.fromEntries(names.map((name) => [name, fitScaling(column(name), trained)])),
    gaps: names.filter((name) => column(name).subarray(0, trained).some(Number.isNaN)),
  };
}

/**
 * Turns the rows of one target, one at a time, into what a model sees: constant memory, so that windows and endless
 * streams go the same way. Everything is in standardised units.
 *
 *   channels   target (relative to its running mean, if normalised), its mask?, input, its mask?, …
 *
 * A gap is filled with the last value before it (before there was one, with the mean, 0), and its mask is 0, else 1.
 */
export class Feed {
  readonly channels: number;
  /** What the forecasts from here are relative to. */
  reference = 0;
  readonly #view: View;
  readonly #masked: readonly boolean[];
  readonly #last: Float64Array;
  #count = 0;
  #mean = 0;

  constructor(view: View) {
    const targets = view.targets.some((name) => view.gaps.includes(name));
    this.#view = view;
    this.#masked = [targets, ...view.inputs.map((name) => view.gaps.includes(name))];
    this.#last = new Float64Array(this.#masked.length);
    this.channels = this.#masked.length + this.#masked.filter(Boolean).length;
  }

  /** Reads a row, the target then the inputs, NaN for gaps; writes its channels into `out` from `place` on. */
  next(row: ArrayLike<number>, out: Float32Array, place: number): void {
    const last = this.#last;
    for (let i = 0; i < last.length; i++) if (!Number.isNaN(row[i])) last[i] = row[i];
    if (!Number.isNaN(row[0])) {
      this.#count = Math.min(this.#count + 1, this.#view.context);
      this.#mean += (last[0] - this.#mean) / this.#count;
    }
    const { normalization } = this.#view;
    const relative = normalization === "none" ? 0 : this.#mean;
    this.reference = normalization === "last" ? last[0] : relative;
    for (let i = 0; i < last.length; i++) {
      out[place++] = i === 0 ? last[0] - relative : last[i];
      if (this.#masked[i]) out[place++] = Number.isNaN(row[i]) ? 0 : 1;
    }
  }
}

/** A series as a model sees it, in windows. */
export interface Windows {
  readonly series: Series;
  readonly view: View;
  readonly parts: Parts;
  /** The rows at which a forecast of a part may begin: its context lies before, its whole horizon in the part. */
  origins(part: keyof Parts): { readonly first: number; readonly count: number };
  /**
   * The windows of `length` rows before these origins, asked at the last `asked` rows: for the `horizon` rows after
   * each. `references` (batch) are what the answers of the last row are relative to.
   */
  batch(
    picks: readonly { readonly target: number; readonly origin: number }[],
    length: number,
    asked: number,
  ): SignalBatch & { readonly references: Float64Array };
}

/** @throws FormatError when a part is too short for the context and the horizon. */
export function windowsOf(series: Series, parts: Parts, view: View): Windows {
  const { context, horizon, targets, inputs, scaling } = view;
  checkRoom(series, parts, view);
  const standardised = (name: string) => {
    const { mean, deviation } = scaling[name];
    return columnIn(series, name).map((value) => (value - mean) / deviation);
  };
  const targetColumns = targets.map(standardised);
  const inputColumns = inputs.map(standardised);
  const starts = { train: context, validation: parts.train, test: parts.train + parts.validation };
  const ends = {
    train: parts.train,
    validation: parts.train + parts.validation,
    test: parts.train + parts.validation + parts.test,
  };
  const { channels } = new Feed(view);
  return {
    series,
    view,
    parts,
    origins: (part) => ({ first: starts[part], count: ends[part] - starts[part] - horizon + 1 }),
    batch(picks, length, asked) {
      const batch = picks.length;
      const inputs = new Float32Array(batch * length * channels);
      const targets = new Float32Array(batch * asked * horizon);
      const references = new Float64Array(batch);
      for (const [b, { target, origin }] of picks.entries()) {
        const feed = new Feed(view);
        const columns = [targetColumns[target], ...inputColumns];
        const row = new Float64Array(columns.length);
        for (let t = 0; t < length; t++) {
          const at = origin - length + t;
          for (let i = 0; i < columns.length; i++) row[i] = columns[i][at];
          feed.next(row, inputs, (b * length + t) * channels);
          const answer = t - (length - asked);
          if (answer < 0) continue;
          const place = (b * asked + answer) * horizon;
          for (let h = 0; h < horizon; h++) targets[place + h] = columns[0][at + 1 + h] - feed.reference;
        }
        references[b] = feed.reference;
      }
      return { batch, length, channels, asked, outputs: horizon, inputs, targets, references };
    },
  };
}

/**
 * Windows at random: any target, any origin of the part, all as likely. Every row of the second half of a window is
 * asked for the rows after it, so one window teaches as many forecasts.
 * @throws RangeError for a seed, an index or a batch out of range, or a length other than the context.
 */
export function forecastTask(windows: Windows, seed: number): SignalTask {
  const name = "forecast";
  const { context, horizon, targets } = windows.view;
  expectInteger(name, "the seed", seed, 0);
  const batchOf =
    (split: Split) =>
    (index: number, batch: number, length: number): SignalBatch => {
      expectInteger(name, "the index", index, 0);
      expectInteger(name, "the batch", batch, 1);
      if (length !== context) {
        throw new RangeError(`${name}: the length must be the context, ${context}, got ${length}.`);
      }
      const { first, count } = windows.origins(split);
      const picks = Array.from({ length: batch }, (_, r) => {
        const source = random(seed, split === "train" ? 0 : 1, index, r);
        return { target: source.integer(targets.length), origin: first + source.integer(count) };
      });
      return windows.batch(picks, length, split === "train" ? Math.ceil(length / 2) : 1);
    };
  return {
    name,
    channels: new Feed(windows.view).channels,
    outputs: horizon,
    train: batchOf("train"),
    validation: batchOf("validation"),
  };
}

function columnIn({ file, names, columns }: Series, name: string): Float64Array {
  const column = columns[names.indexOf(name)];
  if (!column) throw new Error(`internal: ${file} was read without its column ${name}`);
  return column;
}

function checkRoom({ file, rows }: Series, parts: Parts, { context, horizon }: View): void {
  const needed = { train: context + horizon, validation: horizon, test: horizon };
  for (const part of ["train", "validation", "test"] as const) {
    if (parts[part] >= needed[part] || (part !== "train" && parts[part] === 0)) continue;
    const [why, what] =
      part === "train"
        ? [`context ${context} + horizon ${horizon}`, "context or horizon"]
        : [`horizon ${horizon}`, "horizon"];
    throw new FormatError(
      `${file}: the ${part} part must have at least ${needed[part]} rows (${why}), got ${parts[part]} of ${rows}. ` +
        `Choose a shorter ${what}, or another split.`,
    );
  }
}
