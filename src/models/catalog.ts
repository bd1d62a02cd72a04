import type { Device } from "../tensor/device.ts";
import { UsageError } from "../tensor/errors.ts";
import type { BackboneConfig, ModelKind } from "./backbone.ts";
import { configOf } from "./config.ts";
import { type LanguageConfig, languageFields, LanguageModel } from "./languageModel.ts";
import { type ParameterSource, randomParameters } from "./layers.ts";
import { h3Kind } from "./h3.ts";
import { hippoKind } from "./hippo.ts";
import { lsslKind } from "./lssl.ts";
import { mambaKind } from "./mamba.ts";
import { s4Kind } from "./s4.ts";
import { s4dKind } from "./s4d.ts";
import { s6Kind } from "./s6.ts";
import { type SequenceConfig, sequenceFields, SequenceModel } from "./sequenceModel.ts";
import { transformerKind } from "./transformer.ts";

/** Every model there is. What makes, trains, saves, reads and describes models goes by this list. */
export const modelKinds: readonly ModelKind[] = [
  mambaKind,
  s6Kind,
  s4Kind,
  s4dKind,
  h3Kind,
  lsslKind,
  hippoKind,
  transformerKind,
];

/** @throws UsageError when there is no such model. */
export function modelKindOf(name: string): ModelKind {
  const kind = modelKinds.find((kind) => kind.name === name);
  if (kind) return kind;
  const names = modelKinds.map(({ name }) => name).join(", ");
  throw new UsageError(
    `models: there is no model ${JSON.stringify(name.slice(0, 80))}. There are: ${names}.`,
  );
}

/** The config of a language model of this kind, with the paper's defaults for what is not given. */
export function languageConfig(model: string, given: Readonly<Record<string, unknown>>): LanguageConfig {
  const config: BackboneConfig & { bidirectional?: boolean } = modelKindOf(model).config(given);
  if (config.bidirectional) {
    throw new UsageError(
      `${model}: a language model cannot be bidirectional, it would see what it has to say.`,
    );
  }
  return { model, ...configOf(model, languageFields, given), ...config };
}

/** A language model with parameters from anywhere. */
export function languageModel<Config extends LanguageConfig>(
  config: Config,
  source: ParameterSource,
): LanguageModel<Config> {
  const kind = modelKindOf(config.model);
  return new LanguageModel(config, source, (own) => kind.mixer(config, own));
}

/** A language model with fresh parameters: the same seed gives the same model. */
export function createLanguageModel<Config extends LanguageConfig>(
  device: Device,
  config: Config,
  seed = 0,
): LanguageModel<Config> {
  return languageModel(config, randomParameters(device, seed));
}

/** The config of a model of sequences of this kind, with defaults for what is not given. */
export function sequenceConfig(model: string, given: Readonly<Record<string, unknown>>): SequenceConfig {
  const config: BackboneConfig = modelKindOf(model).config(given);
  return { model, ...configOf(model, sequenceFields, given), ...config };
}

/** A model of sequences with parameters from anywhere. */
export function sequenceModel<Config extends SequenceConfig>(
  config: Config,
  source: ParameterSource,
): SequenceModel<Config> {
  const kind = modelKindOf(config.model);
  return new SequenceModel(config, source, (own) => kind.mixer(config, own));
}

/** A model of sequences with fresh parameters: the same seed gives the same model. */
export function createSequenceModel<Config extends SequenceConfig>(
  device: Device,
  config: Config,
  seed = 0,
): SequenceModel<Config> {
  return sequenceModel(config, randomParameters(device, seed));
}
