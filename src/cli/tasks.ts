import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { FormatError, inductionHeads, selectiveCopying, type Task, textTask, UsageError } from "../node.ts";
import { type Values, withInitial } from "./flag.ts";
import {
  fieldFlags,
  memorizeFlag,
  modelFlags,
  rhythmFlags,
  textFlags,
  trainingFlags,
  vocabularyFlag,
} from "./flags.ts";
import { short } from "./format.ts";
import type { Source } from "./run.ts";

const commonFlags = { ...modelFlags, ...fieldFlags, ...trainingFlags, ...rhythmFlags };
const taskFlags = { ...vocabularyFlag, ...memorizeFlag, ...textFlags };

/** What a run is made with: the flags that say what is learned, by what, and how. */
export type Settings = Values<typeof commonFlags> & Partial<Values<typeof taskFlags>>;

/** Something that `train` can learn. */
export interface TaskKind {
  readonly name: string;
  readonly doc: string;
  readonly details: string;
  readonly flags: typeof commonFlags & Partial<typeof taskFlags>;
  /** Whether its tokens are the bytes of a text. */
  readonly bytes: boolean;
  /** @throws FormatError for a text that is missing or too short. */
  create(settings: Settings, speaker: string): Promise<{ task: Task; source?: Source }>;
}

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
    bytes: false,
    create: async ({ seed, vocabulary }) => ({ task: inductionHeads({ seed, vocabulary }) }),
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
    bytes: false,
    create: async ({ seed, vocabulary, memorize }) => ({
      task: selectiveCopying({ seed, vocabulary, memorize }),
    }),
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
    bytes: true,
    create: async ({ file, seed, validationFraction }, speaker) => {
      if (file === undefined)
        throw new UsageError(`${speaker}: --file is missing: which text should be learned?`);
      const { text, source } = await readText(speaker, file);
      return { task: textTask(text, { seed, validationFraction }), source };
    },
  },
];

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

async function readText(speaker: string, file: string): Promise<{ text: Uint8Array; source: Source }> {
  let text: Uint8Array;
  try {
    text = await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new FormatError(`${speaker}: there is no file ${file}. Check --file.`);
    if (code === "EISDIR")
      throw new FormatError(`${speaker}: --file must be a file, got the directory ${file}.`);
    throw error;
  }
  if (text.length === 0) throw new FormatError(`${speaker}: ${file} is empty. Give a text to learn from.`);
  const sha256 = createHash("sha256").update(text).digest("hex");
  return { text, source: { path: resolve(file), bytes: text.length, sha256 } };
}
