import { generatedSignals, type SignalTask } from "./signal.ts";
import { expectInteger } from "./task.ts";

/**
 * Adding (Hochreiter & Schmidhuber 1997, section 5.4, in the form of Arjovsky, Shah & Bengio 2016, section 4.2):
 * the sum of two marked numbers of a long sequence.
 *
 *   numbers   .3 .9 .1 .7 .2 .5      channel 0: uniform in [0, 1)
 *   markers    0  1  0  0  1  0      channel 1: 1 at one place of the first half ⌊length/2⌋, at one of the rest
 *   target                  1.1      one output, asked at the last position only
 *
 * Saying 1 always gives a mean squared error of 1/6.
 * @throws RangeError later, for a length below 2.
 */
export function adding({ seed }: { readonly seed: number }): SignalTask {
  const name = "adding";
  return generatedSignals({
    name,
    seed,
    channels: 2,
    outputs: 1,
    asked(length) {
      expectInteger(name, "the length", length, 2);
      return 1;
    },
    row(random, inputs, targets) {
      const length = inputs.length / 2;
      const half = Math.floor(length / 2);
      for (let t = 0; t < length; t++) inputs[2 * t] = random.uniform();
      for (const t of [random.integer(half), half + random.integer(length - half)]) {
        inputs[2 * t + 1] = 1;
        targets[0] += inputs[2 * t];
      }
    },
  });
}
