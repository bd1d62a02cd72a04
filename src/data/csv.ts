import { dsvFormat } from "d3-dsv";
import { FormatError } from "../tensor/errors.ts";

/** The largest file that is read, in bytes: 2²⁸, 256 MiB. Its text is held whole. */
export const mostCsvBytes = 2 ** 28;
const mostColumns = 16_384;

/** What a reader makes of the columns: it is then given every row, whose number counts the header as row 1. */
export type CsvReader = (columns: readonly string[]) => (cells: readonly string[], row: number) => void;

/**
 * Reads a file of comma-separated values (RFC 4180) whose first row names the columns. Semicolons and tabs are taken
 * for commas where the header has more of them. Empty lines are passed over, but where there is one column: there they
 * are rows in which nothing was measured, unless nothing follows them.
 *
 * Rows go by one at a time, so that only what the reader keeps is held beside the text.
 * @param file the file's name, for errors.
 * @returns how many rows there were, the header not counted.
 * @throws FormatError for a file that is too large, not text, empty, without a header or rows, or with a row that has
 *   other cells than the header.
 */
export function readCsv(file: string, bytes: Uint8Array, reader: CsvReader): number {
  const text = textOf(file, bytes);
  if (text.trim() === "")
    throw new FormatError(`${file}: is empty. A CSV begins with a row of column names.`);
  const { take, rows } = rowTaker(file, reader);
  dsvFormat(delimiterOf(text)).parseRows(text, take);
  if (rows() === 0) throw new FormatError(`${file}: has column names and no rows. Give it some.`);
  return rows();
}

/**
 * Reads such a file line by line, as the lines come: the returned function takes the next one. A row is one line here.
 * @throws FormatError as `readCsv`, at the line that is wrong.
 */
export function csvLines(file: string, reader: CsvReader): (line: string) => void {
  const { take } = rowTaker(file, reader);
  let format: ReturnType<typeof dsvFormat> | undefined;
  let index = 0;
  return (line) => {
    const text = index === 0 ? line.replace(/^\ufeff/, "") : line;
    if (text.trim() !== "") format ??= dsvFormat(delimiterOf(text));
    format?.parseRows(text === "" ? "\n" : text, (cells) => take(cells, index));
    index++;
  };
}

/** Checks rows one by one, the header first, and hands them on; `rows` says how many there were. */
function rowTaker(
  file: string,
  reader: CsvReader,
): { take: (cells: string[], index: number) => void; rows: () => number } {
  let width = 0;
  let rows = 0;
  let each: ReturnType<CsvReader> = () => {};
  const take = (cells: string[], index: number) => {
    if (width === 0) {
      if (isEmpty(cells)) return;
      checkHeader(file, cells, index + 1);
      width = cells.length;
      each = reader(cells);
    } else if (cells.length === width) {
      rows++;
      each(cells, index + 1);
    } else if (!isEmpty(cells)) {
      const open = cells.some((cell) => cell.includes("\n")) ? " Is a quote opened and not closed?" : "";
      throw new FormatError(
        `${file}: row ${index + 1} must have ${counted(width, "cell")}, as the header has, got ${cells.length}.${open}`,
      );
    }
  };
  return { take, rows: () => rows };
}

/** The place of a column. @throws FormatError that names the column that may have been meant. */
export function columnOf(file: string, columns: readonly string[], name: string): number {
  const place = columns.indexOf(name);
  if (place >= 0) return place;
  const near = nearest(name, columns);
  const shown = columns.slice(0, 20).map((column) => JSON.stringify(column));
  const all = `There are: ${shown.join(", ")}${columns.length > shown.length ? ", …" : ""}.`;
  const hint = near === null ? all : `Did you mean ${JSON.stringify(near)}?`;
  throw new FormatError(`${file}: has no column ${JSON.stringify(name)}. ${hint}`);
}

/** What stands in files where nothing was measured. */
const missing = /^(|\?|-|na|n\/a|#n\/a|nan|null|none)$/i;
const numeric = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The number in a cell, NaN where it says that there is none. @throws FormatError that names row and column. */
export function numberIn(file: string, cell: string, row: number, column: string): number {
  const text = cell.trim();
  if (missing.test(text)) return NaN;
  const value = numeric.test(text) ? Number(text) : NaN;
  if (Number.isFinite(value)) return value;
  const hint = /^[+-]?\d+,\d+$/.test(text)
    ? "Write decimals with a point."
    : "Choose other columns, or leave the cell empty where nothing was measured.";
  throw new FormatError(
    `${file}: row ${row}, column ${JSON.stringify(column)}: must be a number, got ${JSON.stringify(shortened(cell))}. ${hint}`,
  );
}

/** Whether a cell is a number, or says that there is none. */
export function isNumeric(cell: string): boolean {
  const text = cell.trim();
  return missing.test(text) || numeric.test(text);
}

function textOf(file: string, bytes: Uint8Array): string {
  if (bytes.length > mostCsvBytes) {
    throw new FormatError(
      `${file}: must be at most ${mostCsvBytes} bytes long, got ${bytes.length}. Split it, or leave columns out.`,
    );
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    let end = text.length;
    while (end > 0 && (text[end - 1] === "\n" || text[end - 1] === "\r")) end--;
    return text.slice(0, end);
  } catch {
    throw new FormatError(`${file}: must be UTF-8 text. Is it a CSV?`);
  }
}

/** Of comma, semicolon and tab the one that the first line has most of. */
function delimiterOf(text: string): string {
  const [line] = text
    .trimStart()
    .slice(0, 2 ** 20)
    .split(/[\r\n]/, 1);
  const count = (delimiter: string) => line.split(delimiter).length;
  return [",", ";", "\t"].reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best));
}

function isEmpty(cells: readonly string[]): boolean {
  return cells.length === 1 && cells[0].trim() === "";
}

function checkHeader(file: string, columns: readonly string[], row: number): void {
  if (columns.length > mostColumns) {
    throw new FormatError(`${file}: must have at most ${mostColumns} columns, got ${columns.length}.`);
  }
  if (columns.every((name) => numeric.test(name.trim()))) {
    const got = shortened(columns.join(","));
    throw new FormatError(
      `${file}: row ${row} must name the columns, got ${got}. Put a row of names before it.`,
    );
  }
  const names = new Set<string>();
  for (const name of columns) {
    if (name !== "" && names.has(name)) {
      throw new FormatError(
        `${file}: two columns are called ${JSON.stringify(shortened(name))}. Rename one.`,
      );
    }
    names.add(name);
  }
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function counted(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

/** The column that differs least, if it differs little: by a third of its letters at the most. */
function nearest(name: string, columns: readonly string[]): string | null {
  const letters = (text: string) => text.toLowerCase().slice(0, 100);
  const distances = columns.map((column) => distance(letters(name), letters(column)));
  const best = distances.indexOf(Math.min(...distances));
  return distances[best] <= Math.max(name.length, columns[best].length) / 3 ? columns[best] : null;
}

/** How many letters must be put in, taken out or changed (Levenshtein 1966). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
