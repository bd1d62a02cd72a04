import type { LanguageModel } from "../models/languageModel.ts";
import { mamba, type MambaConfig } from "../models/mamba.ts";
import type { Device } from "../tensor/device.ts";
import { FormatError } from "../tensor/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Files, join } from "./files.ts";
import { parseObject } from "./json.ts";
import {
  configFromShapes,
  fromOfficial,
  type Mapping,
  mappings,
  officialConfig,
  toOfficial,
} from "./pretrained.ts";
import { openSafetensors, type StoredTensors, type TensorData, writeSafetensors } from "./safetensors.ts";
import { openCheckpoint } from "./sharded.ts";
import { latestSnapshot, writeSnapshot } from "./snapshot.ts";

export type Mamba = LanguageModel<MambaConfig>;

/** A model and what was noticed while reading it, such as a config that disagrees with the tensors. */
export interface Loaded {
  readonly model: Mamba;
  readonly notes: readonly string[];
}

/** A training run at one moment. */
export interface Training {
  readonly model: Mamba;
  /** First and second moments of AdamW, by parameter. */
  readonly m: ReadonlyMap<string, Tensor>;
  readonly v: ReadonlyMap<string, Tensor>;
  /** Whatever else it takes to go on: settings, step, data position. Plain data. */
  readonly training: unknown;
}

const longestConfig = 1_000_000;

/**
 * Reads a model: a directory in the Hugging Face layout (config.json and model.safetensors, whole or in shards; F32,
 * F16 or BF16), or the directory of a training run, whose newest checkpoint is taken.
 * @throws FormatError when files are missing or damaged, or tensors are missing, too many or of a wrong shape.
 */
export async function loadModel(device: Device, files: Files, directory: string): Promise<Loaded> {
  const snapshot = await latestSnapshot(files, directory);
  const path = snapshot?.directory ?? directory;
  const stored = await openCheckpoint(files, path);
  const official = await readConfig(files, join(path, "config.json"));
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

/** Writes a model as a directory that other tools can open: config.json and model.safetensors, all or nothing each. */
export async function saveModel(files: Files, directory: string, model: Mamba): Promise<void> {
  for (const [name, bytes] of Object.entries(await modelFiles(model))) {
    await files.write(join(directory, name), bytes);
  }
}

/**
 * Writes a checkpoint of a training run: the model in the Hugging Face layout, moments and training data beside it.
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
export async function loadTraining(device: Device, files: Files, run: string): Promise<Training | null> {
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

async function modelFiles(model: Mamba): Promise<Record<string, Uint8Array>> {
  const tensors = new Map<string, TensorData>();
  for (const mapping of mappings(model.config)) {
    const parts = [];
    for (const name of mapping.ours) parts.push(await model.parameters.get(name)!.read()); // mappings() lists parameters
    tensors.set(mapping.official, { shape: mapping.shape, data: toOfficial(mapping, parts) });
  }
  return {
    "config.json": jsonBytes(officialConfig(model.config)),
    "model.safetensors": writeSafetensors(tensors, { format: "pt" }),
  };
}

async function tensorData(
  tensors: ReadonlyMap<string, Tensor>,
  prefix: string,
): Promise<[string, TensorData][]> {
  const entries: [string, TensorData][] = [];
  for (const [name, tensor] of tensors) {
    entries.push([prefix + name, { shape: tensor.shape, data: Float32Array.from(await tensor.read()) }]);
  }
  return entries;
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
    if (name === undefined)
      throw new FormatError(`${stored.path}: no tensor "${official}". Is the file complete?`);
    expectShapeOf(stored, name, shape);
    names.delete(official);
  }
  if (names.size > 0) {
    throw new FormatError(
      `${stored.path}: holds ${names.size} tensors that a Mamba does not have, such as "${[...names.values()][0]}". ` +
        "Is this another kind of checkpoint?",
    );
  }
  const written = new Map(stored.names.map((name) => [currentName(name), name]));
  const parameters = new Map<string, Float32Array>();
  for (const part of mapping) {
    const { data } = await stored.read(written.get(part.official)!); // checked above
    for (const [name, values] of fromOfficial(part, data)) parameters.set(name, values);
  }
  return parameters;
}

function expectShapeOf(stored: StoredTensors, name: string, expected: readonly number[]): void {
  const { dtype, shape } = stored.info(name);
  if (!["F32", "F16", "BF16", "F64"].includes(dtype)) {
    throw new FormatError(`${stored.path}: "${name}" must hold F32, F16 or BF16, got ${dtype}.`);
  }
  if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i])) {
    throw new FormatError(
      `${stored.path}: "${name}" must have shape (${expected.join(", ")}), got (${shape.join(", ")}).`,
    );
  }
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
