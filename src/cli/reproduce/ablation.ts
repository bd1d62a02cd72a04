/**
 * The ablations of Gu & Dao 2023 (section 4.6): what of B, C and Δ follows the input, and how large the
 * state is. The paper measures the perplexity of 350M models on the Pile; here it is a small model on selective copying,
 * where the same question decides.
 */
import type { MambaConfig } from "../../node.ts";
import type { Comparison, ComparisonSettings, Contender } from "./comparison.ts";

const quick: ComparisonSettings = {
  vocabulary: 16,
  memorize: 4,
  dModel: 64,
  layers: 2,
  seed: 1,
  learningRate: 3e-3,
  hold: 600,
  end: 800,
  beta1: 0.9,
  beta2: 0.98,
  weightDecay: 0,
  clip: 1,
  stages: [
    { batch: 32, length: 16, steps: 500 },
    { batch: 32, length: 32, steps: 300 },
  ],
  checkpointEvery: 100,
  testLength: 32,
  testBatches: 16,
  testBatch: 64,
};

const paper: ComparisonSettings = {
  ...quick,
  memorize: 16,
  learningRate: 1e-4,
  hold: 400_000,
  end: 400_000,
  // 64 sequences at once would take 15 GiB where B or C is constant: models/s6.ts.
  stages: [{ batch: 4, length: 4096, steps: 400_000 }],
  accumulation: 16,
  checkpointEvery: 500,
  testLength: 4096,
};

function contender(name: string, title: string, perplexity: string, config: Partial<MambaConfig>): Contender {
  return { name, title, paper: perplexity, config: () => ({ ssm: "s6", ...config }) };
}

const constantBC = { constantB: true, constantC: true };

export const ablation: Comparison = {
  name: "ablation",
  doc: "Trains Mambas whose B, C, Δ follow the input or not, with states of different size (Gu & Dao 2023, section 4.6).",
  paperHead: "paper: ppl",
  contenders: [
    contender("none", "nothing follows the input", "10.93", { ...constantBC, constantDelta: true }),
    contender("b", "B", "10.15", { constantC: true, constantDelta: true }),
    contender("c", "C", "9.98", { constantB: true, constantDelta: true }),
    contender("delta", "Δ, N 16", "9.81", constantBC),
    contender("delta-n4", "Δ, N 4", "", { ...constantBC, dState: 4 }),
    contender("delta-n1", "Δ, N 1", "9.88", { ...constantBC, dState: 1 }),
    contender("all", "B, C and Δ, N 16", "8.71", {}),
    contender("all-n4", "B, C and Δ, N 4", "", { dState: 4 }),
    contender("all-n1", "B, C and Δ, N 1", "9.73", { dState: 1 }),
  ],
  quick,
  paper,
  differences: ({ stages, memorize }) => [
    "the paper's figures are perplexities of 350M models on the Pile; these are of a small model on selective copying",
    `${memorize} data tokens, ${stages.map(({ steps, length }) => `${steps} steps at length ${length}`).join(", then ")}`,
    "one seed each: differences of a part of a percent mean nothing",
  ],
};
