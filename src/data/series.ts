import { FormatError } from "../tensor/errors.ts";
import { columnOf, isNumeric, numberIn, readCsv } from "./csv.ts";

/** Columns of numbers over time, one row a time step, the earliest first. */
export interface Series {
  /** The file they come from, for errors. */
  readonly file: string;
  readonly names: readonly string[];
  readonly rows: number;
  /** One per name, (rows); NaN where nothing was measured. */
  readonly columns: readonly Float64Array[];
}

/** The most numbers that are kept of a file: 2²⁷, a gibibyte of them. */
const mostNumbers = 2 ** 27;

/**
 * Reads columns of a CSV as a series; "all" takes every column whose first row is a number.
 * @throws FormatError as `readCsv`, for a column that is not there or holds other than numbers (with its row), that
 *   holds none at all, and for too many numbers.
 */
export function readSeries(file: string, bytes: Uint8Array, wanted: readonly string[] | "all"): Series {
  let names: readonly string[] = wanted === "all" ? [] : wanted;
  let places: readonly number[] = [];
  let values: number[][] = [];
  const choose = (all: readonly string[], chosen: readonly number[]) => {
    names = chosen.map((place) => all[place]);
    places = chosen;
    values = places.map(() => []);
  };
  const rows = readCsv(file, bytes, (all) => {
    if (wanted !== "all")
      choose(
        all,
        wanted.map((name) => columnOf(file, all, name)),
      );
    let first = wanted === "all";
    return (cells, row) => {
      if (first)
        choose(
          all,
          [...all.keys()].filter((place) => isNumeric(cells[place])),
        );
      first = false;
      for (const [i, place] of places.entries()) values[i].push(numberIn(file, cells[place], row, names[i]));
      if (places.length * (values[0]?.length ?? 0) > mostNumbers) {
        throw new FormatError(`${file}: must hold at most ${mostNumbers} numbers. Choose fewer columns.`);
      }
    };
  });
  if (names.length === 0) throw new FormatError(`${file}: no column begins with a number. Is it a series?`);
  for (const [i, name] of names.entries()) {
    if (values[i].every(Number.isNaN)) {
      throw new FormatError(`${file}: column ${JSON.stringify(name)} has no numbers at all. Choose another.`);
    }
  }
  return { file, names, rows, columns: values.map((column) => Float64Array.from(column)) };
}

/** The mean and the standard deviation (of the population) that a column is standardised with. */
export interface Scaling {
  readonly mean: number;
  readonly deviation: number;
}

/**
 * x → (x − mean) / deviation, fitted on the rows before `end` that were measured: what comes later is not known when a
 * forecast is made. A column that does not vary there is only centred.
 */
export function fitScaling(column: Float64Array, end: number): Scaling {
  let count = 0;
  let mean = 0;
  let squares = 0; // Welford 1962: no difference of large sums
  for (let t = 0; t < end; t++) {
    const value = column[t];
    if (Number.isNaN(value)) continue;
    count++;
    const before = value - mean;
    mean += before / count;
    squares += before * (value - mean);
  }
  const deviation = Math.sqrt(squares / count);
  const flat = !(deviation > Math.abs(mean) * 1e-12);
  return { mean: count > 0 ? mean : 0, deviation: flat ? 1 : deviation };
}

/** The last value that was measured at or before each row; NaN before there was one. */
export function carried(column: Float64Array): Float64Array {
  const values = column.slice();
  for (let t = 1; t < values.length; t++) if (Number.isNaN(values[t])) values[t] = values[t - 1];
  return values;
}
