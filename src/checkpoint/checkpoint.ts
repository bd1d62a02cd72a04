import type { Model } from "../models/backbone.ts";
import type { LanguageModel } from "../models/languageModel.ts";
import type { SequenceModel } from "../models/sequenceModel.ts";
import type { Device } from "../tensor/device.ts";
import { FormatError } from "../tensor/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Files, join } from "./files.ts";
import { parseObject } from "./json.ts";
import { readOfficial, toOfficialFormat } from "./officialFormat.ts";
import { isOwn, readOwn, toOwnFormat } from "./ownFormat.ts";
import { isOfficial } from "./pretrained.ts";
import { openSafetensors, writeSafetensors } from "./safetensors.ts";
import { openCheckpoint } from "./sharded.ts";
import { latestSnapshot, writeSnapshot } from "./snapshot.ts";
import { expectShapeOf, tensorData } from "./tensorData.ts";

/** A model and what was noticed while reading it, such as a config that disagrees with the tensors. */
export interface Loaded {
  readonly model: LanguageModel | SequenceModel;
  readonly notes: readonly string[];
}

/** A training run at one moment. */
export interface Training {
  readonly model: Model;
  /** First and second moments of AdamW, by parameter. */
  readonly m: ReadonlyMap<string, Tensor>;
  readonly v: ReadonlyMap<string, Tensor>;
  /** Whatever else it takes to go on: settings, step, data position. Plain data. */
  readonly training: unknown;
}

const longestConfig = 1_000_000;

/**
 * Reads a model: a directory with config.json and model.safetensors (whole or in shards; F32, F16 or BF16), ours or a
 * Mamba in the Hugging Face layout, or the directory of a training run, whose newest checkpoint is taken.
 * @throws FormatError when files are missing or damaged, or tensors are missing, too many or of a wrong shape.
 */
export async function loadModel(device: Device, files: Files, directory: string): Promise<Loaded> {
  const snapshot = await latestSnapshot(files, directory);
  const path = snapshot?.directory ?? directory;
  const stored = await openCheckpoint(files, path);
  const configPath = join(path, "config.json");
  const config = await readConfig(files, configPath);
  if (!isOwn(config)) return readOfficial(device, stored, config);
  return { model: await readOwn(device, stored, configPath, config), notes: [] };
}

/**
 * Writes a model as a directory: config.json and model.safetensors, all or nothing each. Other tools can open it where
 * the model is a Mamba as published.
 */
export async function saveModel(files: Files, directory: string, model: Model): Promise<void> {
  for (const [name, bytes] of Object.entries(await modelFiles(model))) {
    await files.write(join(directory, name), bytes);
  }
}

/**
 * Writes a checkpoint of a training run: the model as `saveModel` does, moments and training data beside it.
 * A crash at any moment leaves this or an earlier one whole.
 */
export async function saveTraining(
  files: Files,
  run: string,
  step: number,
  { model, m, v, training }: Training,
): Promise<void> {
  await writeSnapshot(files, run, step, {
    ...(await modelFiles(model)),
    "optimizer.safetensors": writeSafetensors(
      new Map([...(await tensorData(m, "m.")), ...(await tensorData(v, "v."))]),
    ),
    "training.json": jsonBytes(training),
  });
}

/** The newest checkpoint of a run, or null when it has none. */
export async function loadTraining(
  device: Device,
  files: Files,
  run: string,
): Promise<(Training & Pick<Loaded, "model">) | null> {
  const snapshot = await latestSnapshot(files, run);
  if (!snapshot) return null;
  const { model } = await loadModel(device, files, run);
  const path = join(snapshot.directory, "optimizer.safetensors");
  const stored = await openSafetensors(files, path);
  const moments = async (prefix: string) => {
    const tensors = new Map<string, Tensor>();
    for (const [name, { shape }] of model.parameters) {
      expectShapeOf(stored, prefix + name, shape);
      tensors.set(name, device.tensor((await stored.read(prefix + name)).data, shape));
    }
    return tensors;
  };
  const training = Object.fromEntries(await readJson(files, join(snapshot.directory, "training.json")));
  return { model, m: await moments("m."), v: await moments("v."), training };
}

/** The files of a model: as Hugging Face has them where that can be said there, else as we do. */
async function modelFiles(model: Model): Promise<Record<string, Uint8Array>> {
  const { config, tensors } = isOfficial(model) ? await toOfficialFormat(model) : await toOwnFormat(model);
  return {
    "config.json": jsonBytes(config),
    "model.safetensors": writeSafetensors(tensors, { format: "pt" }),
  };
}

async function readConfig(files: Files, path: string): Promise<ReadonlyMap<string, unknown>> {
  return (await files.size(path)) === null ? new Map() : readJson(files, path);
}

async function readJson(files: Files, path: string): Promise<Map<string, unknown>> {
  const size = await files.size(path);
  if (size !== null && size > longestConfig) {
    throw new FormatError(`${path}: must be at most ${longestConfig} bytes long, got ${size}.`);
  }
  return parseObject(path, await files.read(path));
}

function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
