/**
 * A model of any kind as we store it: config.json holds every field of its config beside `"model_type": "statewise"`,
 * model.safetensors its parameters under their own names.
 */
import type { Model } from "../models/backbone.ts";
import {
  languageConfig,
  languageModel,
  modelKindOf,
  sequenceConfig,
  sequenceModel,
} from "../models/catalog.ts";
import { languageFields, type LanguageModel } from "../models/languageModel.ts";
import type { ParameterSource } from "../models/layers.ts";
import { sequenceFields, type SequenceModel } from "../models/sequenceModel.ts";
import type { Device } from "../tensor/device.ts";
import { FormatError, UsageError } from "../tensor/errors.ts";
import { quote } from "./json.ts";
import type { StoredTensors, TensorData } from "./safetensors.ts";
import { expectNone, expectShapeOf, missing, tensorData } from "./tensorData.ts";

const modelType = "statewise";

export function isOwn(config: ReadonlyMap<string, unknown>): boolean {
  return config.get("model_type") === modelType;
}

export async function toOwnFormat({
  config,
  parameters,
}: Model): Promise<{ config: object; tensors: Map<string, TensorData> }> {
  return { config: { model_type: modelType, ...config }, tensors: await tensorData(parameters) };
}

/** @throws FormatError for a config that makes no model, and for tensors that are not those of that model. */
export async function readOwn(
  device: Device,
  stored: StoredTensors,
  path: string,
  fields: ReadonlyMap<string, unknown>,
): Promise<LanguageModel | SequenceModel> {
  const create = modelOf(path, fields);
  const left = new Map<string, TensorData["data"]>();
  for (const name of stored.names) left.set(name, (await stored.read(name)).data);
  const model = create((name, shape) => {
    const values = left.get(name);
    if (!values) throw missing(stored, name);
    expectShapeOf(stored, name, shape);
    left.delete(name); // the device has a copy now
    return device.tensor(values, shape);
  });
  expectNone(stored, [...left.keys()], modelKindOf(model.config.model).title);
  return model;
}

/** What makes the model that a config.json describes, given its parameters. */
function modelOf(
  path: string,
  fields: ReadonlyMap<string, unknown>,
): (source: ParameterSource) => LanguageModel | SequenceModel {
  const { model, model_type: _, ...given } = Object.fromEntries(fields);
  const refused = (what: string) => new FormatError(`${path}: ${what} Was it made by a later version?`);
  if (typeof model !== "string") throw refused(`model must be the name of a model, got ${quote(model)}.`);
  try {
    const isSequence = "outputs" in given;
    const known = { ...(isSequence ? sequenceFields : languageFields), ...modelKindOf(model).fields };
    const unknown = Object.keys(given).find((name) => !Object.hasOwn(known, name));
    if (unknown !== undefined) throw refused(`a ${model} has no ${quote(unknown)}.`);
    if (isSequence) {
      const config = sequenceConfig(model, given);
      return (source) => sequenceModel(config, source);
    }
    const config = languageConfig(model, given);
    return (source) => languageModel(config, source);
  } catch (error) {
    if (error instanceof UsageError) throw refused(error.message);
    throw error;
  }
}
