import { capture, Decoder, type Device, mamba, mambaConfig, type MambaConfig } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { blockWeights, forwardFlops, headWeights } from "./cost.ts";
import { config130m, sizeOf } from "./decode.ts";
import { productCase } from "./gemm.ts";
import { repeatingParameters } from "./inputs.ts";
import type { Topic } from "./topic.ts";

export const prefill: Topic = {
  summary: "many tokens at once, batch 1: reading a prompt, and the logits of every position",

  run(context) {
    const { device, quick } = context;
    if (quick) {
      const config = mambaConfig({ vocabulary: 16, dModel: 16, layers: 1 });
      const product = productCase(device, { rows: 64, columns: 48, inner: 32 });
      return runCases("prefill", context, [
        product,
        promptCase(device, config, 128, product),
        forwardCase(device, config, 8),
      ]);
    }
    const config = mambaConfig({ vocabulary: 256, dModel: 256, layers: 4 });
    const product = productCase(device, { rows: 2048, columns: 3072, inner: 768 });
    return runCases("prefill", context, [
      product,
      promptCase(device, config130m, 512, product),
      forwardCase(device, config, 512),
      forwardCase(device, config, 4096),
    ]);
  },
};

/** A prompt, as a decoder reads it. Its flops are those of the products alone, to compare with a product. */
function promptCase(device: Device, config: MambaConfig, length: number, product: Case): Case {
  const model = mamba(config, repeatingParameters(device));
  const decoder = new Decoder(model);
  const tokens = Int32Array.from({ length }, (_, i) => i % config.vocabulary);
  return {
    name: `${sizeOf(config)}, prompt of ${length}`,
    bytes: 4 * model.parameterCount(),
    flops: 2 * (length * blockWeights(config) + headWeights(config)),
    work: { amount: length, unit: "tokens" },
    against: product,
    run: () => decoder.prefill(tokens),
    free() {
      decoder.free();
      for (const parameter of model.parameters.values()) parameter.free();
    },
  };
}

/** One captured forward pass. */
function forwardCase(device: Device, config: MambaConfig, length: number): Case {
  const model = mamba(config, repeatingParameters(device));
  const tokens = device.integers(
    Int32Array.from({ length }, (_, i) => i % config.vocabulary),
    [1, length],
  );
  const program = capture(device, () => model.forward(tokens).logits);
  return {
    name: `${sizeOf(config)}, forward of ${length}`,
    bytes: 4 * (model.parameterCount() + length * config.vocabulary),
    flops: forwardFlops(config, length, length),
    work: { amount: length, unit: "tokens" },
    ...replays(program),
    details: () => ({ programBytes: program.bytes }),
    free() {
      for (const part of [program, tokens, ...model.parameters.values()]) part.free();
    },
  };
}
