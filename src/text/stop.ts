/** What a StopMatcher lets through, and whether a stop string has come. */
export interface Matched {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Cuts a stream of text where the first stop string ends, however the stream is split into pushes.
 * Text is held back only while it may still begin a stop string.
 *
 * Of several stop strings, the one that ends first wins, and of those that end together the longest. The stop string
 * itself is not let through, nor anything after it.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  /** @throws RangeError for an empty stop string. */
  constructor(stops: readonly string[]) {
    if (stops.includes("")) {
      throw new RangeError("stop: a stop string must have at least one character, got an empty one.");
    }
    this.#stops = stops;
  }

  /** The next piece of the stream; after a stop, nothing is let through any more. */
  push(text: string): Matched {
    if (this.#stopped) return { text: "", stopped: true };
    this.#held += text;
    const stop = firstStop(this.#held, this.#stops);
    if (stop !== undefined) {
      const before = this.#held.slice(0, stop);
      this.#held = "";
      this.#stopped = true;
      return { text: before, stopped: true };
    }
    const safe = this.#held.length - mayBegin(this.#held, this.#stops);
    const through = this.#held.slice(0, safe);
    this.#held = this.#held.slice(safe);
    return { text: through, stopped: false };
  }

  /** The end of the stream: what was held back, which no stop string can claim now. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** Where the winning stop string begins in `text`. */
function firstStop(text: string, stops: readonly string[]): number | undefined {
  let begin: number | undefined;
  let end = Infinity;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at < 0) continue;
    const after = at + stop.length;
    if (begin === undefined || after < end || (after === end && at < begin)) {
      begin = at;
      end = after;
    }
  }
  return begin;
}

/** The length of the longest end of `text` that is a beginning of a stop string. */
function mayBegin(text: string, stops: readonly string[]): number {
  const longest = Math.max(0, ...stops.map((stop) => stop.length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const tail = text.slice(-length);
    if (stops.some((stop) => stop.startsWith(tail))) return length;
  }
  return 0;
}
