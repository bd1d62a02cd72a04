/** A Mamba as Hugging Face stores it; names and layouts are in pretrained.ts. */
import type { LanguageModel } from "../models/languageModel.ts";
import { mamba, type MambaConfig } from "../models/mamba.ts";
import type { Device } from "../tensor/device.ts";
import {
  configFromShapes,
  fromOfficial,
  type Mapping,
  mappings,
  officialConfig,
  toOfficial,
} from "./pretrained.ts";
import type { StoredTensors, TensorData } from "./safetensors.ts";
import { expectNone, expectShapeOf, missing } from "./tensorData.ts";

/** The model, and what its config says otherwise than its tensors. */
export async function readOfficial(
  device: Device,
  stored: StoredTensors,
  official: ReadonlyMap<string, unknown>,
): Promise<{ model: LanguageModel<MambaConfig>; notes: readonly string[] }> {
  const shapes = new Map(stored.names.map((name) => [currentName(name), stored.info(name).shape]));
  const { config, notes } = configFromShapes(stored.path, shapes, official);
  const parameters = await readParameters(stored, mappings(config));
  const model = mamba(config, (name, shape) => {
    const values = parameters.get(name);
    if (!values) throw new Error(`internal: the mapping has no parameter ${name}`);
    parameters.delete(name); // the device has a copy now
    return device.tensor(values, shape);
  });
  return { model, notes };
}

/** The config and the tensors of a model, as Hugging Face has them. */
export async function toOfficialFormat(
  model: LanguageModel<MambaConfig>,
): Promise<{ config: object; tensors: Map<string, TensorData> }> {
  const tensors = new Map<string, TensorData>();
  for (const mapping of mappings(model.config)) {
    const parts = [];
    for (const name of mapping.ours) parts.push(await model.parameters.get(name)!.read()); // mappings() lists parameters
    tensors.set(mapping.official, { shape: mapping.shape, data: toOfficial(mapping, parts) });
  }
  return { config: officialConfig(model.config), tensors };
}

/** The original code wrote `backbone.embedding`; otherwise its names are those of Hugging Face. */
function currentName(name: string): string {
  return name === "backbone.embedding.weight" ? "backbone.embeddings.weight" : name;
}

async function readParameters(
  stored: StoredTensors,
  mapping: readonly Mapping[],
): Promise<Map<string, Float32Array>> {
  const names = new Map(stored.names.map((name) => [currentName(name), name]));
  for (const { official, shape } of mapping) {
    const name = names.get(official);
    if (name === undefined) throw missing(stored, official);
    expectShapeOf(stored, name, shape);
    names.delete(official);
  }
  expectNone(stored, [...names.values()], "Mamba");
  const written = new Map(stored.names.map((name) => [currentName(name), name]));
  const parameters = new Map<string, Float32Array>();
  for (const part of mapping) {
    const { data } = await stored.read(written.get(part.official)!); // checked above
    for (const [name, values] of fromOfficial(part, data)) parameters.set(name, values);
  }
  return parameters;
}
