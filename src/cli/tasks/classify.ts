import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  classification,
  type ClassificationTask,
  classificationTask,
  createSequenceModel,
  evaluate,
  FormatError,
  imageSequences,
  type LabelledFile,
  type LabelledSequences,
  mostCsvBytes,
  readIdx,
  readLabelledFiles,
  readLongFormat,
  sequenceConfig,
  UsageError,
} from "../../node.ts";
import { type DataFile, identityOf, readDataFile } from "../dataFile.ts";
import { withInitial } from "../flag.ts";
import { classifyFlags } from "../flags.ts";
import { counted, percent, short } from "../format.ts";
import { commonFlags, type Scoring, type Settings, type TaskKind } from "../lesson.ts";
import { expectSequenceModel } from "../model.ts";
import { isDirectory, type Source, writeJson } from "../run.ts";

const { length, ...flags } = commonFlags;
/** Sequences longer than this are cut unless --length says more: a mistake in --id makes one of all rows. */
const longestUnasked = 65_536;

export const classifyKind: TaskKind = {
  name: "classify",
  doc: "Learns which class a sequence belongs to, from CSV files or images.",
  details:
    "Sequences come from --csv (long format: a row for each position, with the sequence's id and label), from --folder\n" +
    "(DIR/CLASS/FILE.csv, a sequence a file), or from --images and --labels (MNIST: sequential, or --permuted). The class\n" +
    "is read out of the mean over a sequence.",
  flags: {
    ...classifyFlags,
    ...withInitial(flags, {
      model: "s4d",
      batch: 32,
      steps: 1000,
      learningRate: 3e-3,
      warmup: 50,
      schedule: "cosine",
      weightDecay: 0.01,
      beta2: 0.98,
      evaluateEvery: 100,
      evaluationBatches: 16,
    }),
    length: { ...length, initial: undefined, initially: "the longest; longer sequences are cut" },
  },
  async prepare(settings, speaker) {
    const { data, source } = await readData(settings, speaker);
    const task = classificationTask(data, settings);
    const positions = settings.length ?? Math.min(task.longest, longestUnasked);
    const padded = data.sequences.some(({ values }) => values.length < positions * data.inputs.length);
    return {
      task,
      length: positions,
      source,
      mostBatches: Math.ceil(task.sizes.validation / settings.batch),
      newModel: (device) => {
        const { inputs, tokens, classes: outputs } = task;
        const given = { ...settings, inputs, tokens, outputs, readout: "mean" };
        return createSequenceModel(device, sequenceConfig(settings.model, given), settings.seed);
      },
      objective: (model, where) => classification(expectSequenceModel(speaker, where, model), { padded }),
      score: (scoring) => score(scoring, task, { positions, padded, speaker, classes: data.classes }),
      next: (directory) => `statewise eval --run ${directory}`,
    };
  },
};

/** How many of all validation sequences are put into their class. */
async function score(
  { run, model, batch, terminal, keep }: Scoring,
  task: ClassificationTask,
  how: { positions: number; padded: boolean; speaker: string; classes: readonly string[] },
): Promise<void> {
  const { positions, padded, speaker, classes } = how;
  const objective = classification(expectSequenceModel(speaker, run.directory, model), { padded });
  const sequences = task.sizes.validation;
  const batches = Math.ceil(sequences / batch);
  const { loss, accuracy = NaN } = await evaluate(objective, task, { batches, batch, length: positions });
  const results = { sequences, classes, loss, accuracy };
  if (keep) await writeJson(run.files, `${run.name}/results.json`, results);
  terminal.emit({ type: "scores", ...results });
  terminal.say(
    `validation: ${percent(accuracy)} of ${counted(sequences, "sequence")} in the right one of ${classes.length} classes, ` +
      `loss ${short(loss)}`,
  );
}

async function readData(
  settings: Settings,
  speaker: string,
): Promise<{ data: LabelledSequences; source: Source }> {
  const { csv, folder, images, labels, inputs = [] } = settings;
  const wanted = inputs.length > 0 ? inputs : "all";
  const given = [csv, folder, images].filter((path) => path !== undefined);
  if (given.length !== 1 || (images === undefined) !== (labels === undefined)) {
    throw new UsageError(
      `${speaker}: what should be learned? Give one of --csv, --folder, or --images with --labels.`,
    );
  }
  if (csv !== undefined) {
    const { bytes, source } = await readDataFile(speaker, "--csv", csv, mostCsvBytes);
    const { id = "id", label = "label" } = settings;
    return { data: readLongFormat(csv, bytes, { id, label, inputs: wanted }), source };
  }
  if (folder !== undefined) {
    const files = await filesIn(speaker, folder);
    const source = { path: resolve(folder), ...identityOf(files.map(({ bytes }) => bytes)) };
    return { data: readLabelledFiles(folder, files, wanted), source };
  }
  return readImages(settings, speaker);
}

async function readImages(
  { images = "", labels = "", permuted = false, seed }: Settings,
  speaker: string,
): Promise<{ data: LabelledSequences; source: Source }> {
  const read = async (flag: string, path: string): Promise<DataFile & { path: string }> => ({
    ...(await readDataFile(speaker, flag, path, 2 ** 30)),
    path,
  });
  const parts = [await read("--images", images), await read("--labels", labels)];
  const [pixels, classes] = parts.map(({ path, bytes }) => readIdx(path, bytes));
  const source = { ...parts[0].source, ...identityOf(parts.map(({ bytes }) => bytes)) };
  return { data: imageSequences(images, pixels, classes, { permuted, seed }), source };
}

/** The most files of a folder: a wrong --folder is noticed before its disk is read. */
const mostFiles = 100_000;

/** FOLDER/CLASS/FILE.csv, in the order of the names. */
async function filesIn(speaker: string, folder: string): Promise<LabelledFile[]> {
  if (!(await isDirectory(folder))) {
    throw new FormatError(`${speaker}: --folder must be a folder, and ${folder} is none.`);
  }
  const files: LabelledFile[] = [];
  let room = mostCsvBytes;
  for (const label of (await readdir(folder)).sort()) {
    if (label.startsWith(".") || !(await isDirectory(join(folder, label)))) continue;
    for (const name of (await readdir(join(folder, label))).sort()) {
      if (!name.toLowerCase().endsWith(".csv")) continue;
      if (files.length === mostFiles) {
        throw new FormatError(
          `${speaker}: ${folder} must have at most ${mostFiles} files. Is it the right folder?`,
        );
      }
      const path = join(folder, label, name);
      const { bytes } = await readDataFile(speaker, "--folder", path, room);
      room -= bytes.length;
      files.push({ file: path, label, bytes });
    }
  }
  if (files.length > 0) return files;
  throw new FormatError(
    `${speaker}: ${folder} must have subfolders, one for each class, with CSV files in them. It has none.`,
  );
}
