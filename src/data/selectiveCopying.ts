import { expectInteger, sequenceTask, type Task } from "./task.ts";

export interface SelectiveCopyingConfig {
  readonly seed: number;
  /** How many tokens there are, noise and query included; default 16. */
  readonly vocabulary?: number;
  /** How many data tokens a sequence holds; default 16. */
  readonly memorize?: number;
}

/**
 * Selective copying (Gu & Dao 2023, section 4.1.1 and appendix E.1): say the data again, in order, without the noise.
 *
 *   tokens    0 a 0 0 b 0 c 0 0 0 | Q Q Q      `length` places of noise and data, then `memorize` queries
 *   targets   . . . . . . . . . . | a b c      loss at the queries only
 *
 * Noise is 0, Q is vocabulary − 1, data is uniform over the tokens between, its places over all subsets. A batch is
 * length + memorize long: 4096 + 16 in the paper's setting.
 *
 * The authors' code for this task is not public. This is the copying task of their S4 repository (copying.py with
 * `variable`), but for one thing: there the first part is noise + memorize long, here it is `length`.
 * @throws RangeError for a vocabulary below 3 or no data, and later for a length below `memorize`.
 */
export function selectiveCopying({ seed, vocabulary = 16, memorize = 16 }: SelectiveCopyingConfig): Task {
  const name = "selective-copying";
  expectInteger(name, "the vocabulary", vocabulary, 3);
  expectInteger(name, "memorize", memorize, 1);
  const noise = 0;
  const query = vocabulary - 1;
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
      tokens.fill(noise, 0, length).fill(query, length);
      // Selection sampling (Knuth, TAOCP 3.4.2, Algorithm S): in one pass, every subset of places is as likely.
      for (let t = 0, copied = 0; copied < memorize; t++) {
        if (random.integer(length - t) >= memorize - copied) continue;
        tokens[t] = 1 + random.integer(vocabulary - 2);
        targets[length + copied++] = tokens[t];
      }
    },
  });
}
