import {
  createLanguageModel,
  FormatError,
  languageConfig,
  LanguageModel,
  type Device,
  type Model,
  modelKindOf,
  SequenceModel,
  UsageError,
} from "../node.ts";
import { type Flags, spelled } from "./flag.ts";
import { fieldFlags } from "./flags.ts";
import { count } from "./format.ts";

/** Settings that say which model: --model, and flags of its fields. */
interface ModelSettings {
  readonly model: string;
  readonly seed: number;
  readonly [name: string]: unknown;
}

/**
 * The settings with a value for every field of their model, so that a run says all of what it was made with. A flag of
 * the task that is called as a field of some model, such as a forecast's --context, is for every model.
 * @throws UsageError for a flag given that the model does not have, or a value that makes no model.
 */
export function completed<Settings extends ModelSettings>(
  speaker: string,
  settings: Settings,
  given: ReadonlySet<string>,
  flags: Flags,
): Settings {
  const { model } = settings;
  const { fields, config } = modelKindOf(model);
  const foreign = Object.keys(fieldFlags).filter(
    (name) => flags[name] === fieldFlags[name] && !Object.hasOwn(fields, name),
  );
  const wrong = foreign.find((name) => given.has(name));
  if (wrong !== undefined) throw new UsageError(`${speaker}: --model ${model} has no ${spelled(wrong)}.`);
  const own = Object.entries(config(settings)).filter(([name]) => name in fieldFlags);
  return { ...settings, ...Object.fromEntries(own) };
}

/** The fresh language model that the settings describe. */
export function newLanguageModel(device: Device, settings: ModelSettings, vocabulary: number): LanguageModel {
  return createLanguageModel(
    device,
    languageConfig(settings.model, { ...settings, vocabulary }),
    settings.seed,
  );
}

/** @throws FormatError when it is another kind of model; `where` it was read. */
export function expectLanguageModel(speaker: string, where: string, model: Model): LanguageModel {
  if (model instanceof LanguageModel) return model;
  throw new FormatError(`${speaker}: ${where} holds a model of series, not of tokens. Take another run.`);
}

/** @throws FormatError when it is another kind of model; `where` it was read. */
export function expectSequenceModel(speaker: string, where: string, model: Model): SequenceModel {
  if (model instanceof SequenceModel) return model;
  throw new FormatError(`${speaker}: ${where} holds a model of tokens, not of series. Take another run.`);
}

/** "S4D, 2 layers, D 64, N 64: 12 345 parameters" */
export function describeModel(model: Model): string {
  const { layers, dModel } = model.config;
  const { dState } = model.config as { dState?: number }; // models without a state of fixed size have none
  const sizes = [`${layers} layers`, `D ${dModel}`, ...(dState === undefined ? [] : [`N ${dState}`])];
  const { title } = modelKindOf(model.config.model);
  return `${title}, ${sizes.join(", ")}: ${count(model.parameterCount())} parameters`;
}
