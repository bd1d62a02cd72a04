import { basename, dirname, resolve } from "node:path";
import {
  type Device,
  diskFiles,
  loadModel,
  type LanguageModel,
  type SequenceModel,
  UsageError,
} from "../node.ts";
import { type FoundRun, findRun, hasCheckpoint, isDirectory, type Run, runIn } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** Where a model is read from. */
export interface ModelPlace {
  /** As people write it. */
  readonly path: string;
  /** The run it is in; null for a directory with just a model. */
  readonly run: FoundRun | null;
  load(device: Device, terminal: Terminal): Promise<LanguageModel | SequenceModel>;
}

/** The place that --run or a model directory names; the directory may be that of a run. */
export async function placeOf(
  speaker: string,
  { run, runs, model }: { run: string | undefined; runs: string; model: string | undefined },
): Promise<ModelPlace> {
  if (run !== undefined && model !== undefined) {
    throw new UsageError(`${speaker}: takes --run or a model directory, not both.`);
  }
  if (run !== undefined) return placeOfRun(speaker, await findRun(speaker, { run, runs }));
  if (model === undefined) {
    throw new UsageError(`${speaker}: which model? Give --run or the directory of a model.`);
  }
  if (!(await isDirectory(model))) throw new UsageError(`${speaker}: there is no directory ${model}.`);
  const found = await runIn(model);
  if (found) return placeOfRun(speaker, found);
  const place = resolve(model);
  return { path: model, run: null, load: loader(model, diskFiles(dirname(place)), basename(place)) };
}

/** Where the model of a run is: its newest checkpoint. */
export async function placeOfRun(speaker: string, run: FoundRun): Promise<ModelPlace> {
  if (!(await hasCheckpoint(run))) {
    throw new UsageError(`${speaker}: ${run.directory} has no checkpoint yet. Train it on first.`);
  }
  return { path: run.directory, run, load: loader(run.directory, run.files, run.name) };
}

function loader(path: string, files: Run["files"], name: string): ModelPlace["load"] {
  return async (device, terminal) => {
    const { model, notes } = await loadModel(device, files, name);
    for (const note of notes) terminal.note(`note: ${path}: ${note}`);
    return model;
  };
}
