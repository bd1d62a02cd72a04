/** What signals do while something is worth saving. */
export interface Interrupt {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Gives the signals back their usual meaning. */
  stop(): void;
}

/**
 * The first signal asks to end at the next good moment (`asked` may say so), the second ends the process. SIGPIPE and
 * SIGHUP stand for a reader that went away: nobody is told.
 */
export function onInterrupt(asked: () => void): Interrupt {
  const controller = new AbortController();
  const handle = (name: NodeJS.Signals) => {
    const isWatched = name === "SIGINT" || name === "SIGTERM";
    if (controller.signal.aborted && isWatched) process.exit(interrupted);
    controller.abort();
    if (isWatched) asked();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"] as const;
  for (const name of signals) process.on(name, handle);
  return {
    signal: controller.signal,
    stop() {
      for (const name of signals) process.off(name, handle);
    },
  };
}

/** The exit code of a command that a signal ended: 128 + SIGINT. */
export const interrupted = 130;

/** Lets signals, timers and streams have their turn: a device answers at once, so a loop of steps never does. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
