import type { BatchSource, Device, Extent, LanguageModel, Model, Objective, View } from "../node.ts";
import type { Flags, Values } from "./flag.ts";
import {
  classifyFlags,
  fieldFlags,
  forecastFlags,
  memorizeFlag,
  modelFlags,
  rhythmFlags,
  textFlags,
  trainingFlags,
  vocabularyFlag,
} from "./flags.ts";
import type { Run, Source } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of every `train` command. */
export const commonFlags = { ...modelFlags, ...fieldFlags, ...trainingFlags, ...rhythmFlags };
const taskFlags = { ...vocabularyFlag, ...memorizeFlag, ...textFlags, ...forecastFlags, ...classifyFlags };
type CommonFlags = typeof commonFlags;

/** What a run is made with: the flags that say what is learned, by what, and how. */
export type Settings = Omit<Values<CommonFlags>, "length"> &
  Partial<Values<Pick<CommonFlags, "length"> & typeof taskFlags>>;

/** Something that `train` can learn. */
export interface TaskKind {
  readonly name: string;
  readonly doc: string;
  readonly details: string;
  /** Some of those above, with its own initial values. */
  readonly flags: Flags;
  /** Reads what there is to read. @throws FormatError for data that is missing or not as it must be. */
  prepare(settings: Settings, speaker: string): Promise<Lesson>;
}

/** What a run learns, by what model, and what comes of it. */
export interface Lesson {
  readonly task: BatchSource<Extent>;
  /** Positions of a sequence. */
  readonly length: number;
  /** The file that is learned, if one is. */
  readonly source?: Source;
  /** How a series is shown to the model, to be kept with the run. */
  readonly view?: View;
  /** Validation batches that say something, where more would be empty. */
  readonly mostBatches?: number;
  newModel(device: Device): Model;
  /** What the model is trained for. @throws FormatError for a model that cannot be, read from `where`. */
  objective(model: Model, where: string): LanguageModel | Objective<Extent>;
  /** What a loss means beside its own unit: "1.23 bits per byte". */
  readonly translate?: (loss: number) => string;
  /** Says how good the model is, where that is more than the loss at some length. */
  score?(scoring: Scoring): Promise<void>;
  /** What to type when it is trained. */
  next(directory: string): string;
}

export interface Scoring {
  readonly run: Run;
  readonly model: Model;
  readonly batch: number;
  readonly terminal: Terminal;
  /** Whether what is found belongs into the run's directory. */
  readonly keep: boolean;
}
