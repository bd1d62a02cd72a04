/** Something that can be run again and again. */
export interface Runnable {
  readonly name: string;
  run(): unknown;
  /** Begins that many runs at once, for a device that `settle`s. */
  repeat?(times: number): void;
}

/** The times of one case. */
export interface Samples {
  /** Over all runs of all rounds. */
  readonly medianMs: number;
  readonly minMs: number;
  readonly runs: number;
  /** The median of each round. */
  readonly roundMs: readonly number[];
  /** Cores that the process kept busy, on average. With fewer than threads, something else had the others. */
  readonly cores: number;
}

/** How long to measure. */
export interface Pace {
  /** How often each case has its turn. */
  readonly rounds: number;
  /** A turn ends with the first run that reaches this time. */
  readonly turnMs: number;
  /** Run each case this long before the first round: engines compile what is hot. */
  readonly warmMs: number;
  /** Milliseconds since any moment. */
  now(): number;
  /** Milliseconds that all threads of the process together have computed for. */
  busy(): number;
  progress(text: string): void;
  /**
   * Resolves when the device has done all it was told, if it works while the program goes on. What such a device can
   * repeat is timed many runs at a time, so that the telling and the waiting do not count.
   */
  settle?(): Promise<void>;
}

/** Runs that are timed together take at least this long. */
const burstMs = 20;
const mostTogether = 1024;

/**
 * Times several cases by turns, so that whatever slows the machine down for a while slows them all, and their ratios
 * hold. A turn begins with one run that does not count, since the other cases have emptied the caches; a case whose
 * run outlasts a turn goes without.
 */
export async function interleave<Case extends Runnable>(
  cases: readonly Case[],
  { rounds, turnMs, warmMs, now, busy, progress, settle }: Pace,
): Promise<Map<Case, Samples>> {
  const together = new Map<Case, number>();
  const time = async (subject: Case) => {
    const started = now();
    if (settle && subject.repeat) {
      const times = together.get(subject) ?? 1;
      subject.repeat(times);
      await settle();
      const ms = now() - started;
      if (ms < burstMs && times < mostTogether) together.set(subject, 2 * times);
      return ms / times;
    }
    const pending = subject.run();
    if (pending instanceof Promise) await pending;
    else await settle?.();
    return now() - started;
  };
  const longest = new Map<Case, number>();
  for (const subject of cases) {
    progress(`warming ${subject.name}`);
    let ms = 0;
    for (const until = now() + warmMs; ms === 0 || now() < until;) ms = await time(subject);
    longest.set(subject, ms);
  }

  const turns = new Map<Case, Turn[]>(cases.map((subject) => [subject, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const subject of cases) {
      progress(`round ${round} of ${rounds}: ${subject.name}`);
      if (longest.get(subject)! < turnMs) await time(subject); // set above for each
      const times: number[] = [];
      const [started, busyBefore] = [now(), busy()];
      while (times.length === 0 || now() < started + turnMs) times.push(await time(subject));
      turns.get(subject)!.push({ times, wallMs: now() - started, busyMs: busy() - busyBefore }); // as above
    }
  }
  return new Map([...turns].map(([subject, own]) => [subject, samplesOf(own)]));
}

/** Runs without a pause. */
export interface Turn {
  readonly times: readonly number[];
  readonly wallMs: number;
  readonly busyMs: number;
}

/** What the turns of a case come to. */
export function samplesOf(turns: readonly Turn[]): Samples {
  const all = turns.flatMap(({ times }) => times);
  const sum = (part: "wallMs" | "busyMs") => turns.reduce((total, turn) => total + turn[part], 0);
  return {
    medianMs: median(all),
    minMs: all.reduce((a, b) => Math.min(a, b)),
    runs: all.length,
    roundMs: turns.map(({ times }) => median(times)),
    cores: sum("busyMs") / sum("wallMs"),
  };
}

/** The middle value; of an even number, the mean of the two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
