import { isDeepStrictEqual } from "node:util";
import {
  createMamba,
  type Device,
  type LanguageModel,
  type MambaConfig,
  schedule,
  type Stage,
  type Task,
  Trainer,
  UsageError,
} from "../../node.ts";
import { describeDevice } from "../device.ts";
import { count } from "../format.ts";
import { describeModel, expectLanguageModel } from "../model.ts";
import { type ClaimedRun, hasCheckpoint, writeConfig } from "../run.ts";
import type { Terminal } from "../terminal.ts";
import { atStart, loadSaved, progressOf, trainInRun } from "../training.ts";

const speaker = "reproduce";

/** How a model of a paper is trained. */
export interface TrainingRecipe {
  readonly seed: number;
  readonly learningRate: number;
  /** Steps at that rate, and the step at which half a cosine has come down to 3 % of it. */
  readonly hold: number;
  readonly end: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly weightDecay: number;
  /** Norm to which a larger gradient is scaled down. */
  readonly clip: number;
  readonly stages: readonly Stage[];
  /** Batches whose gradients make one step; 1 when not given. */
  readonly accumulation?: number;
  readonly checkpointEvery: number;
}

/** Writes the config of a new run. @throws UsageError when what was begun there had other settings. */
export async function expectSameRecipe(
  run: ClaimedRun,
  command: string,
  settings: object,
  begun?: boolean,
): Promise<void> {
  const { config, directory } = run;
  if (config !== null && (begun ?? (await hasCheckpoint(run)))) {
    const same = isDeepStrictEqual(config.settings, JSON.parse(JSON.stringify(settings)));
    if (config.command === command && same) return;
    throw new UsageError(
      `${speaker}: ${directory} was not made with the recipe of today. Choose another --name, ` +
        "or give --fresh to move it aside and begin anew.",
    );
  }
  await writeConfig(run, { command, settings: { ...settings } });
}

export interface RecipeJob {
  readonly run: ClaimedRun;
  readonly recipe: TrainingRecipe;
  readonly config: MambaConfig;
  readonly task: Task;
  readonly device: Device;
  readonly terminal: Terminal;
}

/** Trains what is not trained yet: the model and the steps it took; null when that was interrupted. */
export async function trainRecipe(job: RecipeJob): Promise<{ model: LanguageModel; step: number } | null> {
  const { run, recipe, config, task, device, terminal } = job;
  const { seed, learningRate, hold, end, clip, stages } = recipe;
  const saved = await loadSaved(speaker, device, run);
  const from = saved ? progressOf(run.directory, saved.training) : atStart;
  const model = saved
    ? expectLanguageModel(speaker, run.directory, saved.model)
    : createMamba(device, config, seed);
  const { directory } = run;
  const parameters = model.parameterCount();
  terminal.emit({
    type: "run",
    directory,
    resumed: saved !== null,
    step: from.step,
    parameters,
    device: device.name,
  });
  terminal.say(saved ? `resuming ${directory} at step ${count(from.step)}` : `training in ${directory}`);
  terminal.say(`model    ${describeModel(model)}`);
  terminal.say(`device   ${device.name}: ${describeDevice(device)}`);
  if (from.stage >= stages.length) return { model, step: from.step };

  const trainer = new Trainer(
    model,
    { ...recipe, maxNorm: clip },
    saved ? { moments: saved, updates: from.step } : undefined,
  );
  const outcome = await trainInRun({
    run,
    model,
    trainer,
    task,
    options: {
      ...recipe,
      schedule: schedule({ name: "cosine", learningRate, warmup: 0, hold, steps: end, floor: 0.03 }),
    },
    from,
    terminal,
  });
  trainer.free();
  return outcome.reason === "finished" ? { model, step: outcome.step } : null;
}
