import {
  type Device,
  inductionHeads,
  languageConfig,
  type LanguageConfig,
  languageModel,
  type LanguageModel,
  mamba,
  mambaConfig,
  type MambaConfig,
  Trainer,
} from "../../node.ts";
import { watch } from "../watch.ts";
import { type Case, runCases } from "./cases.ts";
import { s4dTrainingFlops, type S4DSizes, trainingFlops } from "./cost.ts";
import { sizeOf } from "./decode.ts";
import { gpuExecutableOf } from "./gpuLimits.ts";
import { repeatingParameters } from "./inputs.ts";
import type { Topic } from "./topic.ts";

/** A model to be trained on batches of this shape. */
export interface Setting {
  readonly name: string;
  readonly batch: number;
  readonly length: number;
  /** Of a step. */
  readonly flops: number;
  make(device: Device): LanguageModel<LanguageConfig>;
}

/** What is measured. */
export const trained: readonly Setting[] = [
  ofMamba(mambaConfig({ vocabulary: 16, dModel: 64, layers: 2 }), 8, 256), // induction heads
  ofMamba(mambaConfig({ vocabulary: 256, dModel: 256, layers: 4 }), 8, 512),
  ofS4D({ vocabulary: 256, dModel: 128, layers: 4, dState: 64 }, 16, 1024),
];

/** For a GPU. */
export const large = ofMamba(mambaConfig({ vocabulary: 256, dModel: 768, layers: 4 }), 8, 512);

/** The same in small. */
export const small: readonly Setting[] = [
  ofMamba(mambaConfig({ vocabulary: 16, dModel: 16, layers: 1 }), 2, 8),
  ofS4D({ vocabulary: 16, dModel: 16, layers: 1, dState: 4 }, 2, 8),
];

function ofMamba(config: MambaConfig, batch: number, length: number): Setting {
  return {
    name: sizeOf(config),
    batch,
    length,
    flops: trainingFlops(config, batch * length),
    make: (device) => mamba(config, repeatingParameters(device)),
  };
}

function ofS4D(sizes: S4DSizes, batch: number, length: number): Setting {
  const config = languageConfig("s4d", { ...sizes });
  return {
    name: `S4D D${sizes.dModel} x ${sizes.layers}, N ${sizes.dState}`,
    batch,
    length,
    flops: s4dTrainingFlops(sizes, batch, length),
    make: (device) => languageModel(config, repeatingParameters(device)),
  };
}

export const train: Topic = {
  summary: "training steps: forward, backward and AdamW, and the memory they take",

  /** One setting after the other, the smaller first, so that the peak of the process means something for each. */
  async run(context) {
    const full = context.device.name === "webgpu" ? [...trained, large] : trained;
    for (const setting of context.quick ? small : full) {
      await runCases("train", context, [stepCase(context.device, setting)]);
    }
  },
};

/**
 * Parameters and moments are read and written once, gradients written and read; activations could stay in a cache, so
 * they do not count as bytes that must move.
 */
function stepCase(device: Device, { name, batch, length, flops, make }: Setting): Case {
  const watched = watch(device);
  const model = make(watched.device);
  const trainer = new Trainer(model);
  const { total: planBytes, activations: activationBytes } = trainer.plan({ batch, length });
  const data = inductionHeads({ seed: 0, vocabulary: model.config.vocabulary }).train(0, batch, length);
  const learningRate = 1e-6; // learned by heart, the batch would have gradients so small that they are slow
  return {
    name: `${name}, step of ${batch} x ${length}`,
    bytes: 4 * 8 * model.parameterCount(),
    flops,
    work: { amount: batch * length, unit: "tokens" },
    run: () => trainer.step([data], learningRate),
    executables: watched.compiled.flatMap(({ executable }) => gpuExecutableOf(executable) ?? []),
    details: () => ({ planBytes, activationBytes, processPeakBytes: 1024 * process.resourceUsage().maxRSS }),
    free() {
      trainer.free();
      const { m, v } = trainer.optimizer.moments;
      for (const part of [...m.values(), ...v.values(), ...model.parameters.values()]) part.free();
    },
  };
}
