import { generatedSignals, type SignalTask } from "./signal.ts";
import { expectInteger } from "./task.ts";
import { checkBand, whiteSignal } from "./whiteSignal.ts";

export interface ReconstructConfig {
  readonly seed: number;
  /** How many of the last samples are to be said; default 1000. */
  readonly memory?: number;
  /** Seconds from one sample to the next; default 0.001. */
  readonly dt?: number;
  /** The highest frequency in the signal, in hertz; default 1. */
  readonly frequency?: number;
}

/**
 * Reconstruction (reconstruct.py of state-spaces/s4): at the end of a signal, say its last `memory` samples at once.
 *
 *   input     x_0 x_1 … x_(L−1)                one channel of band-limited white noise (`whiteSignal`)
 *   target    (x_(L−memory), …, x_(L−1))       `memory` outputs, oldest first, asked at the last position only
 *
 * The defaults at length 4000 are the official small setting.
 * @throws RangeError for no memory, and later for a length that is shorter than it or lacks the frequency.
 */
export function reconstruct({
  seed,
  memory = 1000,
  dt = 0.001,
  frequency = 1,
}: ReconstructConfig): SignalTask {
  const name = "reconstruct";
  expectInteger(name, "the memory", memory, 1);
  return generatedSignals({
    name,
    seed,
    channels: 1,
    outputs: memory,
    asked(length) {
      expectInteger(name, "the length", length, memory);
      checkBand(name, length, { dt, frequency });
      return 1;
    },
    row(random, inputs, targets) {
      inputs.set(whiteSignal(random, inputs.length, { dt, frequency }));
      targets.set(inputs.subarray(inputs.length - memory));
    },
  });
}
