/**
 * Selective copying of Gu & Dao 2023 (section 4.1.1, appendix E.1, Table 1): the Mamba block with S6, which chooses what
 * it keeps, and with S4's layers, which cannot. The three are trained alike on the same sequences.
 */
import type { Comparison, ComparisonSettings } from "./comparison.ts";

const task = { vocabulary: 16, memorize: 16, dModel: 64, layers: 2 };

/** Longer and longer, since at length 256 thousands of steps teach S6 nothing. */
const quick: ComparisonSettings = {
  ...task,
  seed: 1,
  learningRate: 3e-3,
  hold: 4000,
  end: 4600,
  beta1: 0.9,
  beta2: 0.98,
  weightDecay: 0,
  clip: 1,
  stages: [
    { batch: 64, length: 16, steps: 600, until: { accuracy: 0.95, over: 20 } },
    { batch: 64, length: 20, steps: 400, until: { accuracy: 0.95, over: 20 } },
    { batch: 64, length: 32, steps: 500, until: { accuracy: 0.97, over: 20 } },
    { batch: 32, length: 64, steps: 700, until: { accuracy: 0.98, over: 20 } },
    { batch: 32, length: 128, steps: 1200, until: { accuracy: 0.99, over: 20 } },
    { batch: 32, length: 256, steps: 1200 },
  ],
  checkpointEvery: 200,
  testLength: 256,
  testBatches: 16,
  testBatch: 64,
};

const paper: ComparisonSettings = {
  ...quick,
  learningRate: 1e-4,
  hold: 400_000,
  end: 400_000,
  stages: [{ batch: 64, length: 4096, steps: 400_000 }],
  checkpointEvery: 500,
  testLength: 4096,
};

export const selectiveCopyingComparison: Comparison = {
  name: "selective-copying",
  doc: "Trains the Mamba block with S6, S4D and S4 in it on selective copying (Gu & Dao 2023, Table 1).",
  paperHead: "paper",
  contenders: [
    { name: "s6", title: "Mamba block with S6", paper: "99.8 %", config: { ssm: "s6" } },
    { name: "s4d", title: "Mamba block with S4D", paper: "", config: { ssm: "s4d", dState: 64 } },
  ],
  quick,
  paper,
  differences: ({ stages, learningRate }) =>
    stages.length === 1
      ? [
          "clipping at norm 1 and β₂ 0.98: the paper does not say",
          "N 64 in S4's layers: the paper does not say",
        ]
      : [
          `length 16 to 256, not 4096, the longer ones after the shorter; ${stages.reduce((sum, { steps }) => sum + steps, 0)} steps at most, not 400 000`,
          `learning rate ${learningRate}, then down a cosine, not 0.0001; batch 64, then 32`,
          "the number of data tokens, 16, and the vocabulary, 16, are the paper's",
          "S4D does not stand in the paper's table; its rate on A and Δ is never above 0.001, as its authors advise",
        ],
};
