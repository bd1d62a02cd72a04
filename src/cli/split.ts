import { FormatError, type Parts } from "../node.ts";
import type { Flag } from "./flag.ts";

/** --split: the training, validation and test part of a series, as rows or as fractions of them. */
export const splitFlag: Flag<string> = {
  doc: "training, validation and test part, in the order of time: rows (8640,2880,2880), or fractions of all",
  placeholder: "A,B,C",
  expected: "three numbers with commas between: rows, or fractions that sum to at most 1, the first above 0",
  initial: "0.7,0.1,0.2",
  repeats: false,
  read: (text) => text,
  accepts: (value) => typeof value === "string" && numbersIn(value) !== null,
};

/** The parts that --split means in a file of so many rows. @throws FormatError when it has fewer. */
export function partsOf(file: string, split: string, rows: number): Parts {
  const found = numbersIn(split);
  if (found === null) throw new Error(`internal: --split ${split} was accepted`);
  const { numbers, fractions } = found;
  const [train, validation, test] = numbers.map((part) => (fractions ? Math.round(part * rows) : part));
  const needed = train + validation + test;
  if (needed > rows && !fractions) {
    throw new FormatError(
      `${file}: --split ${split} takes ${needed} rows, got ${rows}. Choose smaller parts.`,
    );
  }
  return { train, validation, test: Math.min(test, rows - train - validation) };
}

function numbersIn(split: string): { numbers: readonly number[]; fractions: boolean } | null {
  const words = split.split(",");
  const numbers = words.map((word) => (word.trim() === "" ? NaN : Number(word)));
  const right =
    numbers.length === 3 && numbers.every((part) => part >= 0 && part < 2 ** 31) && numbers[0] > 0;
  const fractions = numbers.some((part) => !Number.isInteger(part)) || numbers[0] === 1;
  if (!right || (fractions && numbers[0] + numbers[1] + numbers[2] > 1 + 1e-9)) return null;
  return { numbers, fractions };
}
