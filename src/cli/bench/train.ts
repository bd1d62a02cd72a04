import { type Device, inductionHeads, mamba, mambaConfig, type MambaConfig, Trainer } from "../../node.ts";
import { type Case, runCases } from "./cases.ts";
import { trainingFlops } from "./cost.ts";
import { sizeOf } from "./decode.ts";
import { repeatingParameters } from "./inputs.ts";
import type { Topic } from "./topic.ts";

interface Setting {
  readonly config: MambaConfig;
  readonly batch: number;
  readonly length: number;
}

const settings: readonly Setting[] = [
  { config: mambaConfig({ vocabulary: 16, dModel: 64, layers: 2 }), batch: 8, length: 256 }, // induction heads
  { config: mambaConfig({ vocabulary: 256, dModel: 256, layers: 4 }), batch: 8, length: 512 },
];

const small: readonly Setting[] = [
  { config: mambaConfig({ vocabulary: 16, dModel: 16, layers: 1 }), batch: 2, length: 8 },
];

export const train: Topic = {
  summary: "training steps: forward, backward and AdamW, and the memory they take",

  /** One setting after the other, the smaller first, so that the peak of the process means something for each. */
  async run(context) {
    for (const setting of context.quick ? small : settings) {
      await runCases("train", context, [stepCase(context.device, setting)]);
    }
  },
};

/**
 * Parameters and moments are read and written once, gradients written and read; activations could stay in a cache, so
 * they do not count as bytes that must move.
 */
function stepCase(device: Device, { config, batch, length }: Setting): Case {
  const model = mamba(config, repeatingParameters(device));
  const trainer = new Trainer(model);
  const { total: planBytes, activations: activationBytes } = trainer.plan({ batch, length });
  const data = inductionHeads({ seed: 0, vocabulary: config.vocabulary }).train(0, batch, length);
  const learningRate = 1e-6; // learned by heart, the batch would have gradients so small that they are slow
  return {
    name: `${sizeOf(config)}, step of ${batch} x ${length}`,
    bytes: 4 * 8 * model.parameterCount(),
    flops: trainingFlops(config, batch * length),
    work: { amount: batch * length, unit: "tokens" },
    run: () => trainer.step([data], learningRate),
    details: () => ({ planBytes, activationBytes, processPeakBytes: 1024 * process.resourceUsage().maxRSS }),
    free() {
      trainer.free();
      const { m, v } = trainer.optimizer.moments;
      for (const part of [...m.values(), ...v.values(), ...model.parameters.values()]) part.free();
    },
  };
}
