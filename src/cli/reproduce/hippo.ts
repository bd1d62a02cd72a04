/**
 * What HiPPO claims for its memory (Gu et al. 2020, arXiv 2008.07669, section 4.4 and proposition 3): a million samples are
 * held in 256 numbers, at hundreds of thousands of samples a second, and a memory without a time scale does not mind how
 * fast a signal comes. The signal is band-limited white noise of the same shape at every length, only sampled finer.
 */
import {
  bilinear,
  denseStepper,
  legSHistoryBasis,
  legSStepper,
  legT,
  legTBasis,
  random,
  recall,
  whiteSignal,
} from "../../node.ts";
import { short, thousands } from "../format.ts";
import { breathe } from "../interrupt.ts";
import type { Experiment, Part } from "./experiment.ts";

interface Settings {
  /** Samples of the signal. */
  readonly lengths: readonly number[];
  /** N. */
  readonly states: readonly number[];
  /** Periods of the highest frequency in the whole signal: it has twice as many degrees of freedom. */
  readonly periods: number;
  /** Products of N² and the length that LegT is spared, whose step is dense. */
  readonly mostWork: number;
  /** Samples of the signal that is stretched, N of its memories, and by how much. */
  readonly stretched: number;
  readonly stretchedStates: number;
  readonly stretches: readonly number[];
  readonly seed: number;
}

/** A memory of N numbers that reads a signal of `length` samples, one after the other. */
interface Memory {
  readonly name: string;
  /** `scale` is the number of samples that the memory is made for. */
  make(N: number, scale: number): (c: Float64Array, f: number, k: number) => void;
  /** The basis functions at the sample that is at the fraction `v` of the `length` samples so far. */
  basis(N: number, v: number, length: number, scale: number): Float64Array;
}

const legSMemory: Memory = {
  name: "LegS",
  make: (N) => legSStepper(N),
  basis: (N, v) => legSHistoryBasis(N, v),
};

const legTMemory: Memory = {
  name: "LegT",
  make(N, scale) {
    const { A, B } = legT(N);
    return denseStepper(bilinear(A, B, 1 / scale));
  },
  // Before its window it holds nothing.
  basis(N, v, length, scale) {
    const age = ((1 - v) * length) / scale;
    return age <= 1 ? legTBasis(N, age) : new Float64Array(N);
  },
};

/** What the paper reports at length 10⁶ and N = 256, of LegS and of the LMU, which is LegT in another scale. */
const paper: Readonly<Record<string, { error: number; rate: number }>> = {
  LegS: { error: 0.02, rate: 470_000 },
  LegT: { error: 0.05, rate: 41_000 },
};

const approximation: Part<Settings> = {
  title: "A signal held in N numbers",
  heads: ["memory", "length", "N", "error", "samples/s", "paper: error", "paper: samples/s"],
  async run({ settings, row, progress, once }) {
    const lines = [];
    for (const memory of [legSMemory, legTMemory]) {
      for (const N of settings.states) {
        const points: [number, number][] = [];
        for (const length of settings.lengths) {
          if (memory === legTMemory && N * N * length > settings.mostWork) continue;
          progress(`${memory.name}, N ${N}, length ${thousands(length)}`);
          const found = await once(`${memory.name}, N ${N}, length ${length}`, () =>
            hold(memory, N, signalOf(settings, length), length),
          );
          const theirs = length === 1e6 && N === 256 ? paper[memory.name] : undefined;
          const cells = [short(found.error), thousands(Math.round(found.rate))];
          const figures = theirs ? [String(theirs.error), thousands(theirs.rate)] : ["", ""];
          await row([memory.name, thousands(length), String(N), ...cells, ...figures], {
            memory: memory.name,
            length,
            N,
            ...found,
            ...(theirs && { paper: theirs }),
          });
          points.push([length, found.error]);
        }
        lines.push({ name: `${memory.name}, N ${N}`, points });
      }
    }
    return [{ x: { label: "length", log: true }, y: { label: "error", log: true }, lines }];
  },
};

const timescale: Part<Settings> = {
  title: "The same signal, sampled faster or slower than the memory was made for",
  heads: ["samples", "LegS: error", "LegT: error"],
  async run({ settings, row, progress, once }) {
    const lines = [legSMemory, legTMemory].map(({ name }) => ({
      name: `${name}, N ${settings.stretchedStates}`,
      points: [] as [number, number][],
    }));
    for (const stretch of settings.stretches) {
      const length = Math.round(settings.stretched * stretch);
      progress(`${thousands(length)} samples`);
      const errors: Record<string, number> = {};
      for (const [i, memory] of [legSMemory, legTMemory].entries()) {
        const { error } = await once(`${memory.name}, stretched × ${stretch}`, () =>
          hold(memory, settings.stretchedStates, signalOf(settings, length), settings.stretched),
        );
        errors[memory.name] = error;
        lines[i].points.push([stretch, error]);
      }
      await row([`× ${stretch}`, ...Object.values(errors).map(short)], { stretch, length, errors });
    }
    const x = { label: "samples, as a multiple of what the memory was made for", log: true };
    return [{ x, y: { label: "error", log: true }, lines }];
  },
};

export const hippo: Experiment<Settings> = {
  name: "hippo",
  quick: {
    lengths: [1e3, 1e4, 1e5, 1e6],
    states: [64, 256],
    periods: 80,
    mostWork: 2e9,
    stretched: 1e4,
    stretchedStates: 256,
    stretches: [0.1, 0.5, 1, 2, 10],
    seed: 0,
  },
  paper: {
    lengths: [1e3, 1e4, 1e5, 1e6],
    states: [64, 128, 256],
    periods: 80,
    mostWork: Infinity,
    stretched: 1e5,
    stretchedStates: 256,
    stretches: [0.1, 0.2, 0.5, 1, 2, 5, 10],
    seed: 0,
  },
  parts: [approximation, timescale],
  differences: ({ periods }) => [
    `The error is the mean square of what is missing as a part of the signal's own; the signal has ${periods} periods of its highest frequency, near the N/π that N = 256 can hold; the paper does not say what its own had.`,
    "One thread of JavaScript in float64, not C++ in float32. LegT takes dense steps here, the paper's LMU PyTorch's.",
    "The paper's LSTM (error 0.25 at 35 000 samples a second) is not trained here.",
    "Its test of the time scale classifies trajectories; here the memories themselves are asked for the signal.",
  ],
};

/** What is missing when the signal is recalled, as a part of its own mean square, and how fast it was read. */
async function hold(
  memory: Memory,
  N: number,
  signal: Float64Array,
  scale: number,
): Promise<{ error: number; rate: number }> {
  const step = memory.make(N, scale);
  const c = new Float64Array(N);
  let seconds = 0;
  const piece = Math.max(1, Math.round(1e8 / (N * N)));
  for (let from = 0; from < signal.length; from += piece) {
    const before = performance.now();
    for (let i = from; i < Math.min(from + piece, signal.length); i++) step(c, signal[i], i + 1);
    seconds += (performance.now() - before) / 1000;
    await breathe();
  }
  const asked = Math.min(2000, signal.length);
  const points = Array.from({ length: asked }, (_, i) => Math.floor(((i + 0.5) * signal.length) / asked));
  const rows = points.map((i) => memory.basis(N, (i + 0.5) / signal.length, signal.length, scale));
  const recalled = recall(c, rows);
  let [missing, power] = [0, 0];
  for (const [k, i] of points.entries()) {
    missing += (recalled[k] - signal[i]) ** 2;
    power += signal[i] ** 2;
  }
  return { error: missing / power, rate: signal.length / seconds };
}

/** The same function at any length, sampled `length` times. */
function signalOf({ periods, seed }: Settings, length: number): Float64Array {
  return whiteSignal(random(seed), length, { dt: 1 / length, frequency: periods });
}
