import type { Random } from "../math/random.ts";
import { expectInteger, sequenceTask, type Task } from "./task.ts";

export interface ListOpsConfig {
  readonly seed: number;
  /** The deepest nesting; default 10. */
  readonly maxDepth?: number;
  /** The most arguments of an operator, at least 2 being drawn; default 10. */
  readonly maxArguments?: number;
  /** Expressions are longer than this many tokens; default a quarter of the length, as 500 of 2000. */
  readonly longerThan?: number;
}

/** The tokens: digits stand for themselves. */
export const listOpsTokens = [..."0123456789", "[MIN", "[MAX", "[MED", "[SM", "]", " "] as const;

const [end, pad] = [14, 15];
const probabilityOfOperator = 0.25;
/** Draws until an expression has the wanted length: about 30 are usual, thousands mean that there is none. */
const mostTries = 100_000;

/**
 * ListOps (Nangia & Bowman 2018, as in the Long Range Arena, arXiv 2011.04006, listops.py): the value of a nested
 * expression.
 *
 *   tokens    ␣ ␣ ␣ [MAX 4 3 [MIN 2 3 ] 1 0 ]      target 4, at the last position only
 *
 * An expression is a digit with probability 3/4, and always at `maxDepth`; else one of MIN, MAX, MED (the median,
 * rounded down) and SM (the sum modulo 10) of 2 to `maxArguments` expressions, all choices uniform. Expressions of at
 * most `longerThan` or at least `length` tokens are drawn again. They stand at the end of the row, blanks before them,
 * so that a causal model has read everything when it is asked; the arena puts the blanks behind.
 * The arena's setting is length 2000 with the defaults; its answer comes from a pooling head, ours after the last token.
 * @throws RangeError for settings out of range, and later for a length that expressions do not have.
 */
export function listOps({ seed, maxDepth = 10, maxArguments = 10, longerThan }: ListOpsConfig): Task {
  const name = "list-ops";
  expectInteger(name, "the depth", maxDepth, 2);
  expectInteger(name, "the number of arguments", maxArguments, 2);
  if (longerThan !== undefined) expectInteger(name, "the shortest length", longerThan, 0);
  const leastOf = (length: number) => longerThan ?? Math.floor(length / 4);
  return sequenceTask({
    name,
    vocabulary: listOpsTokens.length,
    seed,
    rowLength(length) {
      expectInteger(name, "the length", length, Math.max(8, leastOf(length) + 2));
      return length;
    },
    row(random, tokens, targets) {
      const expression: number[] = [];
      for (let tries = 0; ; tries++) {
        if (tries === mostTries) {
          throw new RangeError(
            `${name}: none of ${mostTries} expressions has more than ${leastOf(tokens.length)} and fewer than ` +
              `${tokens.length} tokens. Allow more depth, more arguments or other lengths.`,
          );
        }
        expression.length = 0;
        const value = draw(random, expression, tokens.length, maxDepth, maxArguments);
        if (value === null || expression.length <= leastOf(tokens.length)) continue;
        tokens.fill(pad).set(expression, tokens.length - expression.length);
        targets[targets.length - 1] = value;
        return;
      }
    },
  });
}

/** Appends an expression of fewer than `below` tokens and returns its value; null when it becomes longer. */
function draw(
  random: Random,
  tokens: number[],
  below: number,
  depth: number,
  maxArguments: number,
): number | null {
  if (tokens.length + 1 >= below) return null;
  if (depth <= 1 || random.uniform() > probabilityOfOperator) {
    const digit = random.integer(10);
    tokens.push(digit);
    return digit;
  }
  const operator = random.integer(4);
  tokens.push(10 + operator);
  const values: number[] = [];
  for (let wanted = 2 + random.integer(maxArguments - 1); wanted > 0; wanted--) {
    const value = draw(random, tokens, below, depth - 1, maxArguments);
    if (value === null) return null;
    values.push(value);
  }
  if (tokens.length + 1 >= below) return null;
  tokens.push(end);
  return [minimum, maximum, median, sumModulo10][operator](values);
}

const minimum = (values: readonly number[]): number => Math.min(...values);
const maximum = (values: readonly number[]): number => Math.max(...values);
const sumModulo10 = (values: readonly number[]): number => values.reduce((a, b) => a + b) % 10;

/** The middle of an odd number of values; of an even one the mean of the two in the middle, rounded down. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return Math.floor((sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2);
}
