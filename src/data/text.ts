import { expectInteger, sequenceTask, type Task } from "./task.ts";

export interface TextConfig {
  readonly seed: number;
  /** The part of the bytes kept for validation, between 0 and 1; default 0.1. */
  readonly validationFraction?: number;
}

/**
 * Language modelling on bytes: windows of a text at random places, the target of each byte being the next one.
 *
 *   bytes     t r a i n i n g … | v a l i d a t i o n      cut once: the tail is for validation
 *   window    length + 1 bytes within one part             tokens: all but the last, targets: all but the first
 *
 * Every place of a window is as likely; windows may overlap within their part, never across the cut.
 * @throws RangeError for a text too short for two parts, and later for a length that either part cannot hold,
 *   whichever is asked for: a run fails before its first step, not at its first validation.
 */
export function textTask(bytes: Uint8Array, { seed, validationFraction = 0.1 }: TextConfig): Task {
  const name = "text";
  if (!(validationFraction > 0 && validationFraction < 1)) {
    throw new RangeError(
      `${name}: the validation fraction must be above 0 and below 1, got ${validationFraction}.`,
    );
  }
  const cut = bytes.length - Math.round(bytes.length * validationFraction);
  const parts = { train: bytes.subarray(0, cut), validation: bytes.subarray(cut) };

  const expectRoom = (length: number): void => {
    if (Math.min(parts.train.length, parts.validation.length) > length) return;
    const needed = Math.ceil((length + 1) / Math.min(validationFraction, 1 - validationFraction));
    throw new RangeError(
      `${name}: a text for sequences of length ${length} must have at least ${needed} bytes, ` +
        `${validationFraction} of them for validation, got ${bytes.length}. ` +
        `Use a longer text${length > 1 ? " or a shorter length" : ""}.`,
    );
  };

  expectRoom(1);
  return sequenceTask({
    name,
    vocabulary: 256,
    seed,
    rowLength(length) {
      expectInteger(name, "the length", length, 1);
      expectRoom(length);
      return length;
    },
    row(random, tokens, targets, split) {
      const part = parts[split];
      const start = random.integer(part.length - tokens.length);
      tokens.set(part.subarray(start, start + tokens.length));
      targets.set(part.subarray(start + 1, start + 1 + tokens.length));
    },
  });
}
