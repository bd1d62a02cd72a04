/**
 * Induction heads of Gu & Dao 2023 (section 4.1.2, appendix E.1, Tables 2 and 11): train at length 256, test at
 * lengths to 2²⁰. The task and the model are the paper's; how long and on what batches it is trained is ours.
 */
import type { Stage } from "../../node.ts";
import type { TrainingRecipe } from "./recipeRun.ts";

export interface Recipe {
  readonly training: TrainingRecipe & {
    readonly vocabulary: number;
    readonly dModel: number;
    readonly layers: number;
    /** Where the step sizes Δ of a fresh model begin: a channel remembers about 1/Δ tokens. */
    readonly deltaMin: number;
  };
  readonly evaluation: {
    readonly lengths: readonly number[];
    /** Tokens to read at each length, as far as the bounds on the sequences allow. */
    readonly tokens: number;
    readonly fewestSequences: number;
    readonly mostSequences: number;
  };
}

/** Between the long sequences: the short ones are not to be forgotten. */
const short: readonly Stage[] = [
  { batch: 64, length: 16, steps: 15 },
  { batch: 32, length: 64, steps: 15 },
  { batch: 8, length: 256, steps: 15 },
];

/** Twice `steps` batches of one length, each time followed by short ones. */
function long(batch: number, length: number, steps: number): Stage[] {
  return [{ batch, length, steps }, ...short, { batch, length, steps }, ...short];
}

export const recipe: Recipe = {
  training: {
    seed: 2,
    vocabulary: 16,
    dModel: 64,
    layers: 2,
    deltaMin: 1e-7,
    learningRate: 4e-3,
    hold: 1000,
    end: 1700,
    beta1: 0.9,
    beta2: 0.999,
    weightDecay: 0,
    clip: 1,
    stages: [
      { batch: 64, length: 16, steps: 1500, until: { accuracy: 0.999, over: 30 } },
      { batch: 32, length: 64, steps: 1500, until: { accuracy: 0.999, over: 30 } },
      { batch: 8, length: 256, steps: 300 },
      ...long(2, 1024, 100),
      ...long(1, 4096, 80),
      ...long(1, 16384, 40),
      ...long(1, 65536, 12),
      { batch: 64, length: 16, steps: 60 },
      { batch: 32, length: 64, steps: 60 },
      { batch: 8, length: 256, steps: 60 },
    ],
    checkpointEvery: 100,
  },
  evaluation: {
    lengths: Array.from({ length: 15 }, (_, i) => 2 ** (6 + i)),
    tokens: 2 ** 20,
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
    setting: "lengths",
    paper: "256",
    here: "16 and 64 first, then 256, then 1 024 to 65 536 with short ones between",
    why: "from scratch, thousands of steps at 256 teach nothing; longer ones teach not to forget in minutes",
  },
  { setting: "batch", paper: "8", here: "64 to 1, the longer the fewer", why: "a step costs about the same" },
  { setting: "learning rate", paper: "0.001", here: "0.004, then down a cosine", why: "fewer steps" },
  {
    setting: "steps",
    paper: "up to 204 800",
    here: "about 1 600",
    why: "on 2 cores it is minutes, not days",
  },
  {
    setting: "first step sizes",
    paper: "Δ from 0.001",
    here: "Δ from 0.0000001",
    why: "a channel remembers about 1/Δ tokens, and some should remember a million from the start",
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
