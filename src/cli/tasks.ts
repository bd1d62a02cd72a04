import {
  inductionHeads,
  copying,
  FormatError,
  listOps,
  selectiveCopying,
  type Task,
  textTask,
  UsageError,
} from "../node.ts";
import { readDataFile } from "./dataFile.ts";
import { withInitial } from "./flag.ts";
import { memorizeFlag, textFlags, vocabularyFlag } from "./flags.ts";
import { short } from "./format.ts";
import { commonFlags, type Lesson, type Settings, type TaskKind } from "./lesson.ts";
import { expectLanguageModel, newLanguageModel } from "./model.ts";
import { classifyKind } from "./tasks/classify.ts";
import { forecastKind } from "./tasks/forecast.ts";

export const taskKinds: readonly TaskKind[] = [
  {
    name: "induction-heads",
    doc: "Learns to recall what followed a special token (Gu & Dao 2023, section 4.1.2).",
    details:
      "The initial values learn in a minute what the paper shows at length 256;\n" +
      "`statewise reproduce induction-heads` does the paper's experiment.",
    flags: {
      ...vocabularyFlag,
      ...withInitial(commonFlags, { batch: 64, length: 16, steps: 600, learningRate: 2e-3, beta2: 0.999 }),
    },
    prepare: async (settings, speaker) => languageLesson(inductionHeads(settings), settings, speaker),
  },
  {
    name: "selective-copying",
    doc: "Learns to repeat data tokens without the noise between them (Gu & Dao 2023, section 4.1.1).",
    details:
      "The paper's setting is --length 4096 --memorize 16 --batch 64 --learning-rate 1e-4 --steps 400000;\n" +
      "the initial values are a small version of it.",
    flags: {
      ...vocabularyFlag,
      ...withInitial(memorizeFlag, { memorize: 4 }),
      ...withInitial(commonFlags, { batch: 64, length: 32, steps: 2000, learningRate: 2e-3, beta2: 0.999 }),
    },
    prepare: async (settings, speaker) => languageLesson(selectiveCopying(settings), settings, speaker),
  },
  {
    name: "copying",
    doc: "Learns to repeat what a sequence begins with (Arjovsky, Shah & Bengio 2016, section 4.1).",
    details:
      "The setting of the HiPPO and S4 papers is --vocabulary 64 --memorize 1024 --length 1024; the initial values are\n" +
      "a small version of it.",
    flags: {
      ...withInitial(vocabularyFlag, { vocabulary: 8 }),
      ...withInitial(memorizeFlag, { memorize: 8 }),
      ...withInitial(commonFlags, { batch: 32, length: 32, steps: 2000, learningRate: 2e-3, beta2: 0.999 }),
    },
    prepare: async (settings, speaker) => languageLesson(copying(settings), settings, speaker),
  },
  {
    name: "list-ops",
    doc: "Learns the values of nested expressions (ListOps of the Long Range Arena, arXiv 2011.04006).",
    details:
      "The arena's setting is --length 2000; the initial values are a small version of it. The answer is said after the\n" +
      "last token, not read out of a mean.",
    flags: withInitial(commonFlags, {
      dModel: 128,
      layers: 4,
      batch: 32,
      length: 128,
      steps: 5000,
      learningRate: 1e-3,
      warmup: 200,
      schedule: "cosine",
      weightDecay: 0.05,
      evaluateEvery: 250,
    }),
    prepare: async (settings, speaker) => languageLesson(listOps(settings), settings, speaker),
  },
  {
    name: "text",
    doc: "Learns to go on with a text, byte by byte, from a file.",
    details: "When it is trained, `statewise generate` writes with it.",
    flags: {
      ...textFlags,
      ...withInitial(commonFlags, {
        dModel: 128,
        layers: 3,
        batch: 8,
        length: 256,
        steps: 2000,
        learningRate: 2e-3,
        warmup: 100,
        schedule: "cosine",
        weightDecay: 0.1,
        evaluateEvery: 250,
      }),
    },
    async prepare(settings, speaker) {
      const { file } = settings;
      if (file === undefined)
        throw new UsageError(`${speaker}: --file is missing: which text should be learned?`);
      const { bytes, source } = await readDataFile(speaker, "--file", file, mostTextBytes);
      if (bytes.length === 0)
        throw new FormatError(`${speaker}: ${file} is empty. Give a text to learn from.`);
      return {
        ...languageLesson(textTask(bytes, settings), settings, speaker),
        source,
        translate: bitsPerByte,
        next: (directory) => `statewise generate --run ${directory} --prompt "…"`,
      };
    },
  },
  forecastKind,
  classifyKind,
];

/** What Node can hold in one array of bytes, and more than anyone learns here. */
const mostTextBytes = 2 ** 31;

/** A task of tokens, learned by a language model. */
function languageLesson(task: Task, settings: Settings, speaker: string): Lesson {
  return {
    task,
    length: settings.length ?? commonFlags.length.initial,
    newModel: (device) => newLanguageModel(device, settings, task.vocabulary),
    objective: (model, where) => expectLanguageModel(speaker, where, model),
    next: (directory) => `statewise eval --run ${directory}`,
  };
}

/** The task of a run's command: "text" of "train text". */
export function taskKindOf(command: string): TaskKind {
  const kind = taskKinds.find(({ name }) => name === command.split(" ")[1]);
  if (!kind)
    throw new FormatError(
      `config.json: statewise has no command "${command}". Is the run of a later version?`,
    );
  return kind;
}

/** The loss of a model of bytes in the unit of compression. */
export function bitsPerByte(loss: number): string {
  return `${short(loss / Math.LN2)} bits per byte`;
}
