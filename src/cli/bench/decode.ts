import { Decoder, type Device, mamba, mambaConfig, type MambaConfig } from "../../node.ts";
import { watch } from "../watch.ts";
import { type Case, runCases } from "./cases.ts";
import { forwardFlops, stateNumbers } from "./cost.ts";
import { gpuExecutableOf } from "./gpuLimits.ts";
import { repeatingParameters } from "./inputs.ts";
import type { Topic } from "./topic.ts";

/** The sizes of mamba-130m. */
export const config130m = mambaConfig({ vocabulary: 50280, dModel: 768, layers: 24 });

/** For a look. */
export const smallDecode = mambaConfig({ vocabulary: 256, dModel: 16, layers: 1 });

const small = (dModel: number, layers: number) => mambaConfig({ vocabulary: 256, dModel, layers });
const configs = [small(64, 2), small(128, 3), small(256, 4), small(512, 6), config130m];

export const decode: Topic = {
  summary: "one token at a time, batch 1, until its logits are in JavaScript",
  run: (context) =>
    runCases(
      "decode",
      context,
      (context.quick ? [smallDecode] : configs).map((config) => decodeCase(context.device, config)),
    ),
};

/** Each token reads all parameters once, reads and writes the state, and writes the logits. */
function decodeCase(device: Device, config: MambaConfig): Case {
  const watched = watch(device);
  const model = mamba(config, repeatingParameters(watched.device));
  const decoder = new Decoder(model);
  const numbers = model.parameterCount() + 2 * stateNumbers(config) + config.vocabulary;
  let token = 0;
  return {
    name: `${sizeOf(config)}, one token`,
    bytes: 4 * numbers,
    flops: forwardFlops(config, 1, 1),
    work: { amount: 1, unit: "tokens" },
    executables: watched.compiled.flatMap(({ executable }) => gpuExecutableOf(executable) ?? []),
    run: () => decoder.step(token++ % config.vocabulary),
    free() {
      decoder.free();
      for (const parameter of model.parameters.values()) parameter.free();
    },
  };
}

/** What tells one model from another: "D64 x 2". */
export function sizeOf({ dModel, layers }: MambaConfig): string {
  return `D${dModel} x ${layers}`;
}
