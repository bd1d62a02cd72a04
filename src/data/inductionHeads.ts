import { expectInteger, sequenceTask, type Task } from "./task.ts";

export interface InductionHeadsConfig {
  readonly seed: number;
  /** How many tokens there are, the special one included; default 16. */
  readonly vocabulary?: number;
}

/**
 * Induction heads (Gu & Dao 2023, section 4.1.2 and appendix E.1): recall what followed the special token.
 *
 *   tokens    x x x S a x x x x S      S = vocabulary − 1 stands twice: somewhere, and last
 *   targets   . . . . . . . . . a      loss at the last position only
 *
 * The first S is uniform over the places 0, …, length − 3, so that `a` is never the final S; all else is uniform
 * over the other tokens.
 * @throws RangeError for a vocabulary below 2, and later for a length below 3.
 */
export function inductionHeads({ seed, vocabulary = 16 }: InductionHeadsConfig): Task {
  const name = "induction-heads";
  expectInteger(name, "the vocabulary", vocabulary, 2);
  const special = vocabulary - 1;
  return sequenceTask({
    name,
    vocabulary,
    seed,
    rowLength(length) {
      expectInteger(name, "the length", length, 3);
      return length;
    },
    row(random, tokens, targets) {
      const last = tokens.length - 1;
      const first = random.integer(last - 1);
      for (let t = 0; t < last; t++) tokens[t] = random.integer(special);
      tokens[first] = special;
      tokens[last] = special;
      targets[last] = tokens[first + 1];
    },
  });
}
