import { random } from "../math/random.ts";
import { FormatError } from "../tensor/errors.ts";
import { columnOf, isNumeric, numberIn, readCsv } from "./csv.ts";
import type { IdxArray } from "./idx.ts";

/** Sequences that belong to classes. */
export interface LabelledSequences {
  /** Where they come from, for errors. */
  readonly source: string;
  /** What the classes are called, in the order of their numbers. */
  readonly classes: readonly string[];
  /** What is measured at each position. */
  readonly inputs: readonly string[];
  readonly sequences: readonly LabelledSequence[];
}

export interface LabelledSequence {
  readonly name: string;
  /** Its class. */
  readonly label: number;
  /** (length, inputs); NaN where nothing was measured. */
  readonly values: Float32Array;
}

/** The columns of a CSV in long format: a row for each position of each sequence, in order. */
export interface LongFormat {
  /** Says which sequence a row belongs to; the rows of one need not stand together. */
  readonly id: string;
  /** Says its class, the same in all rows of a sequence. */
  readonly label: string;
  /** The numbers of a position; "all" takes every other column whose first row is a number. */
  readonly inputs: readonly string[] | "all";
}

/** The most numbers that are kept: 2²⁸, a gibibyte of them. */
const mostNumbers = 2 ** 28;

/** @throws FormatError as `readCsv`, and for a sequence with two labels. */
export function readLongFormat(file: string, bytes: Uint8Array, format: LongFormat): LabelledSequences {
  const found = new Map<string, { label: string; row: number; values: number[] }>();
  let inputs: readonly string[] = [];
  let numbers = 0;
  readCsv(file, bytes, (columns) => {
    const [id, label] = [columnOf(file, columns, format.id), columnOf(file, columns, format.label)];
    let places = format.inputs === "all" ? null : format.inputs.map((name) => columnOf(file, columns, name));
    return (cells, row) => {
      places ??= [...columns.keys()].filter((i) => i !== id && i !== label && isNumeric(cells[i]));
      inputs = places.map((place) => columns[place]);
      const known = found.get(cells[id]);
      const sequence = known ?? { label: cells[label], row, values: [] };
      if (!known) found.set(cells[id], sequence);
      if (sequence.label !== cells[label]) {
        throw new FormatError(
          `${file}: row ${row}: sequence ${JSON.stringify(cells[id])} is labelled ${JSON.stringify(sequence.label)} ` +
            `in row ${sequence.row}, and here ${JSON.stringify(cells[label])}. A sequence has one label.`,
        );
      }
      for (const [i, place] of places.entries())
        sequence.values.push(numberIn(file, cells[place], row, inputs[i]));
      numbers += places.length;
      if (numbers > mostNumbers) {
        throw new FormatError(`${file}: must hold at most ${mostNumbers} numbers. Choose fewer --inputs.`);
      }
    };
  });
  return collected(
    file,
    inputs,
    [...found].map(([name, { label, values }]) => ({ name, label, values: Float32Array.from(values) })),
  );
}

/** A sequence in a file of its own: a CSV without its label. */
export interface LabelledFile {
  readonly file: string;
  readonly label: string;
  readonly bytes: Uint8Array;
}

/**
 * Sequences in files of their own; "all" takes every column of the first file whose first row is a number.
 * @throws FormatError as `readCsv`.
 */
export function readLabelledFiles(
  source: string,
  files: Iterable<LabelledFile>,
  wanted: readonly string[] | "all",
): LabelledSequences {
  const sequences: { name: string; label: string; values: Float32Array }[] = [];
  let inputs: readonly string[] | null = wanted === "all" ? null : wanted;
  let numbers = 0;
  for (const { file, label, bytes } of files) {
    const values: number[] = [];
    readCsv(file, bytes, (columns) => {
      let places = inputs?.map((name) => columnOf(file, columns, name));
      return (cells, row) => {
        places ??= [...columns.keys()].filter((i) => isNumeric(cells[i]));
        inputs ??= places.map((place) => columns[place]);
        for (const place of places) values.push(numberIn(file, cells[place], row, columns[place]));
      };
    });
    numbers += values.length;
    if (numbers > mostNumbers) {
      throw new FormatError(`${source}: must hold at most ${mostNumbers} numbers. Choose fewer --inputs.`);
    }
    sequences.push({ name: file, label, values: Float32Array.from(values) });
  }
  return collected(source, inputs ?? [], sequences);
}

/** The order of the pixels of an image: as they are read, or shuffled, the same for all images (permuted MNIST). */
export interface ImageOptions {
  readonly permuted?: boolean;
  readonly seed?: number;
}

/**
 * Images as sequences of their pixels, row by row, from 0 to 1 (sequential MNIST: Le, Jaitly & Hinton 2015): images
 * (count, …), labels (count), both of bytes. The permutation is drawn from the seed, so our permuted MNIST is not, pixel
 * for pixel, that of any paper.
 * @throws FormatError unless there is a label for every image.
 */
export function imageSequences(
  source: string,
  images: IdxArray,
  labels: IdxArray,
  { permuted = false, seed = 0 }: ImageOptions = {},
): LabelledSequences {
  const [count, ...sizes] = images.shape;
  const pixels = sizes.reduce((product, size) => product * size, 1);
  const right = images.data instanceof Uint8Array && labels.data instanceof Uint8Array;
  if (
    !right ||
    sizes.length === 0 ||
    pixels === 0 ||
    labels.shape.length !== 1 ||
    labels.shape[0] !== count
  ) {
    throw new FormatError(
      `${source}: must be images (count, rows, columns) and as many labels (count), all bytes, ` +
        `got (${images.shape.join(", ")}) and (${labels.shape.join(", ")}).`,
    );
  }
  const order = permuted ? permutation(pixels, seed) : null;
  const sequences = Array.from({ length: count }, (_, i) => {
    const values = new Float32Array(pixels);
    for (let p = 0; p < pixels; p++) values[p] = images.data[i * pixels + (order ? order[p] : p)] / 255;
    return { name: String(i), label: String(labels.data[i]), values };
  });
  return collected(source, ["pixel"], sequences);
}

/** 0 … n − 1, every order as likely (Fisher & Yates; Knuth, TAOCP 3.4.2, Algorithm P). */
function permutation(n: number, seed: number): Uint32Array {
  const source = random(seed);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = source.integer(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function collected(
  source: string,
  inputs: readonly string[],
  named: readonly { name: string; label: string; values: Float32Array }[],
): LabelledSequences {
  if (inputs.length === 0) {
    throw new FormatError(
      `${source}: no column but the label begins with a number. What are the sequences of?`,
    );
  }
  const classes = [...new Set(named.map(({ label }) => label))].sort(byNumberOrName);
  if (classes.length < 2) {
    throw new FormatError(
      `${source}: must have sequences of at least 2 classes, got ${named.length} of ${classes.length}.`,
    );
  }
  const numbers = new Map(classes.map((name, i) => [name, i]));
  const sequences = named.map(({ label, ...rest }) => ({ ...rest, label: numbers.get(label)! })); // classes has every label
  return { source, classes, inputs, sequences };
}

/** "2" before "10", then names by their letters. */
function byNumberOrName(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? (a < b ? -1 : 1) : difference;
}
