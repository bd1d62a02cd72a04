import { loadModel } from "../../src/checkpoint/checkpoint.ts";
import { isOfficial, mappings } from "../../src/checkpoint/pretrained.ts";
import { ignore } from "../../src/data/task.ts";
import type { LanguageModel } from "../../src/models/languageModel.ts";
import type { MambaConfig } from "../../src/models/mamba.ts";
import type { Device } from "../../src/tensor/device.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { GoldenCase, Values } from "./case.ts";
import { download, permute, reshaped, stack } from "./layout.ts";

/** The Mamba of a case, from its checkpoint. */
export async function loadMamba(golden: GoldenCase, device: Device): Promise<LanguageModel<MambaConfig>> {
  const { model } = await loadModel(device, golden.files, golden.modelFolder);
  if (!isOfficial(model)) throw new Error(`${golden.modelFolder}: is not a Mamba`);
  return model;
}

/**
 * Parameters, or their gradients, under official names and in official layouts: ours transposed, one below the other.
 * Official tensors of which a part is missing are left out.
 */
export async function toOfficial(
  config: MambaConfig,
  tensors: ReadonlyMap<string, Tensor>,
): Promise<Map<string, Values>> {
  const results = new Map<string, Values>();
  for (const { official, ours, shape } of mappings(config)) {
    const parts = ours.map((name) => tensors.get(name)).filter((tensor) => tensor !== undefined);
    if (parts.length < ours.length) continue;
    const transposed = (await Promise.all(parts.map(download))).map((values) =>
      values.shape.length === 2 ? permute(values, [1, 0]) : values,
    );
    results.set(official, reshaped(stack(transposed), shape));
  }
  return results;
}

/** The targets of next-token prediction for tokens (batch, length): shifted by one, none for the last of a row. */
export function nextTokens({ shape, data }: Values): Int32Array {
  const length = shape[shape.length - 1];
  return Int32Array.from(data, (_, i) => ((i + 1) % length === 0 ? ignore : data[i + 1]));
}
