/**
 * Induction heads of Gu & Dao 2023 (section 4.1.2, appendix E.1, Tables 2 and 11): train at length 256, test at
 * lengths to 2²⁰. The task and the model are the paper's; how long and on what batches it is trained is ours.
 */
import type { Stage } from "../../node.ts";

export interface Recipe {
  readonly training: {
    readonly seed: number;
    readonly vocabulary: number;
    readonly dModel: number;
    readonly layers: number;
    readonly learningRate: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly weightDecay: number;
    /** Norm to which a larger gradient is scaled down. */
    readonly clip: number;
    readonly stages: readonly Stage[];
    readonly checkpointEvery: number;
  };
  readonly evaluation: {
    readonly lengths: readonly number[];
    /** Tokens to read at each length, as far as the bounds on the sequences allow. */
    readonly tokens: number;
    readonly fewestSequences: number;
    readonly mostSequences: number;
  };
}

export const recipe: Recipe = {
  training: {
    seed: 0,
    vocabulary: 16,
    dModel: 64,
    layers: 2,
    learningRate: 2e-3,
    beta1: 0.9,
    beta2: 0.999,
    weightDecay: 0,
    clip: 1,
    stages: [
      { batch: 64, length: 16, steps: 1000, until: { accuracy: 0.999, over: 50 } },
      { batch: 32, length: 64, steps: 2000, until: { accuracy: 0.999, over: 100 } },
      { batch: 8, length: 256, steps: 10_000, until: { accuracy: 0.9999, over: 1000 } },
    ],
    checkpointEvery: 500,
  },
  evaluation: {
    lengths: Array.from({ length: 15 }, (_, i) => 2 ** (6 + i)),
    tokens: 2 ** 22,
    fewestSequences: 4,
    mostSequences: 256,
  },
};

/** A setting of the paper, of ours, and why ours is another. */
export interface Difference {
  readonly setting: string;
  readonly paper: string;
  readonly here: string;
  readonly why: string;
}

export const differences: readonly Difference[] = [
  {
    setting: "parameters",
    paper: "about 74 000",
    here: "66 496",
    why: "what the two layers of the task's model hold; the paper does not say what else it counts",
  },
  {
    setting: "lengths",
    paper: "256",
    here: "16, then 64, then 256",
    why: "at 256 from scratch, thousands of steps pass before anything is learned",
  },
  {
    setting: "batch",
    paper: "8",
    here: "64, then 32, then 8",
    why: "shorter sequences, so that a step costs about the same",
  },
  { setting: "learning rate", paper: "0.001", here: "0.002", why: "fewer steps" },
  {
    setting: "steps",
    paper: "up to 204 800",
    here: "until it is right, at most 13 000",
    why: "more do not change the row",
  },
  { setting: "clipping", paper: "not said", here: "norm 1", why: "one bad step cannot undo the others" },
];

/** What the paper reports at this length. */
export function paperRow(length: number): { mamba: string; attention: string } {
  if (length >= 2 ** 16) return { mamba: "100 %", attention: "cannot run" };
  return { mamba: "100 %", attention: length >= 2 ** 11 ? "below 30 %" : "" };
}

/** How a length is evaluated: `batches` of `batch` sequences. */
export function evaluationOf(
  { tokens, fewestSequences, mostSequences }: Recipe["evaluation"],
  length: number,
): { batches: number; batch: number } {
  const sequences = Math.min(Math.max(Math.floor(tokens / length), fewestSequences), mostSequences);
  const batch = Math.min(sequences, Math.max(fewestSequences, Math.floor(8192 / length)));
  return { batches: Math.ceil(sequences / batch), batch };
}
