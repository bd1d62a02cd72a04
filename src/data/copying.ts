import { expectInteger, sequenceTask, type Task } from "./task.ts";

export interface CopyingConfig {
  readonly seed: number;
  /** How many tokens there are, blank and query included; default 64. */
  readonly vocabulary?: number;
  /** How many data tokens a sequence begins with; default 1024. */
  readonly memorize?: number;
}

/**
 * Copying (Arjovsky, Shah & Bengio 2016, section 4.1, as in copying.py of state-spaces/s4): say the beginning again.
 *
 *   tokens    a b c 0 0 0 0 0 | Q Q Q      `memorize` data, `length` − `memorize` blanks, `memorize` queries
 *   targets   . . . . . . . . | a b c      loss at the queries only
 *
 * Blank is 0, Q is vocabulary − 1, data is uniform over the tokens between. The places are always the same, which is
 * all the difference from `selectiveCopying`: a layer that does not change over time can learn them.
 * The defaults are those of the HiPPO and S4 code: 1024 of 64 tokens.
 * @throws RangeError for a vocabulary below 3 or no data, and later for a length below `memorize`.
 */
export function copying({ seed, vocabulary = 64, memorize = 1024 }: CopyingConfig): Task {
  const name = "copying";
  expectInteger(name, "the vocabulary", vocabulary, 3);
  expectInteger(name, "memorize", memorize, 1);
  return sequenceTask({
    name,
    vocabulary,
    seed,
    rowLength(length) {
      expectInteger(name, "the length", length, memorize);
      return length + memorize;
    },
    row(random, tokens, targets) {
      const length = tokens.length - memorize;
      tokens.fill(0, memorize, length).fill(vocabulary - 1, length);
      for (let t = 0; t < memorize; t++) {
        tokens[t] = 1 + random.integer(vocabulary - 2);
        targets[length + t] = tokens[t];
      }
    },
  });
}
