import { generatedSignals, type SignalTask } from "./signal.ts";
import { expectInteger } from "./task.ts";
import { checkBand, whiteSignal } from "./whiteSignal.ts";

export interface DelayConfig {
  readonly seed: number;
  /** How many samples ago; default 1000. */
  readonly lag?: number;
  /** Seconds from one sample to the next; default 0.00025. */
  readonly dt?: number;
  /** The highest frequency in the signal, in hertz; default 1000. */
  readonly frequency?: number;
}

/**
 * Continuous delay ("How to Train Your HiPPO", Gu et al. 2022, arXiv 2206.12037; delay.py of state-spaces/s4): at
 * every sample, say what the signal was `lag` samples ago, 0 before it began.
 *
 *   input     x_0 x_1 x_2 x_3 …      one channel of band-limited white noise (`whiteSignal`)
 *   target     0   0  x_0 x_1 …      with lag 2
 *
 * The defaults are the paper's at length 4000.
 * @throws RangeError for a lag below 1, and later for a length that does not exceed the lag or lacks the frequency.
 */
export function delay({ seed, lag = 1000, dt = 0.00025, frequency = 1000 }: DelayConfig): SignalTask {
  const name = "delay";
  expectInteger(name, "the lag", lag, 1);
  return generatedSignals({
    name,
    seed,
    channels: 1,
    outputs: 1,
    asked(length) {
      expectInteger(name, "the length", length, lag + 1);
      checkBand(name, length, { dt, frequency });
      return length;
    },
    row(random, inputs, targets) {
      inputs.set(whiteSignal(random, inputs.length, { dt, frequency }));
      targets.set(inputs.subarray(0, inputs.length - lag), lag);
    },
  });
}
