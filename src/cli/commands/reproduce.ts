import { isDeepStrictEqual } from "node:util";
import {
  createMamba,
  type Device,
  inductionHeads,
  type LanguageModel,
  mambaConfig,
  schedule,
  Trainer,
  UsageError,
} from "../../node.ts";
import { defineCommand } from "../command.ts";
import { describeDevice, withDevice } from "../device.ts";
import { type Values, withInitial } from "../flag.ts";
import { deviceFlags, outputFlags, runFlags } from "../flags.ts";
import { count, duration } from "../format.ts";
import { interrupted } from "../interrupt.ts";
import { evaluateLengths, type Results } from "../reproduce/evaluation.ts";
import { differences, type Recipe, recipe } from "../reproduce/inductionHeads.ts";
import { describeModel, expectLanguageModel } from "../model.ts";
import { type ClaimedRun, claimRun, hasCheckpoint, writeConfig } from "../run.ts";
import type { Terminal } from "../terminal.ts";
import { atStart, loadSaved, progressOf, trainInRun } from "../training.ts";

const speaker = "reproduce";
const command = "reproduce induction-heads";
const flags = { ...withInitial(runFlags, { name: "induction-heads-paper" }), ...deviceFlags, ...outputFlags };

export const reproduceInductionHeads = defineCommand({
  name: command,
  doc: "Trains the Mamba of Gu & Dao 2023 on induction heads and tests it at lengths to 2²⁰ (Tables 2 and 11).",
  details: "It can be interrupted at any moment; the same command goes on from there.",
  flags,
  run: ({ values, terminal }) => reproduce(recipe, values, terminal),
});

/** Does what the recipe says, in a run's directory: trains what is not trained yet, evaluates what is not yet. */
export async function reproduce(
  { training, evaluation }: Recipe,
  values: Values<typeof flags>,
  terminal: Terminal,
): Promise<number> {
  const { batch, length } = training.stages[training.stages.length - 1];
  const settings = { ...training, batch, length };
  const run = await claimRun(speaker, { ...values, name: values.name ?? "" });
  try {
    await expectSameRecipe(run, settings);
    if (run.movedTo) terminal.say(`The run that was there is now ${run.movedTo}.`);
    return await withDevice(values, async (device) => {
      const trained = await trainAsSaid(run, settings, device, terminal);
      if (trained === null) {
        terminal.say(`To go on: statewise ${command}`);
        return interrupted;
      }
      sayResults(
        run,
        await evaluateLengths({ ...trained, task: taskOf(training), run, evaluation, terminal }),
        terminal,
      );
      return 0;
    });
  } finally {
    await run.release();
  }
}

async function expectSameRecipe(run: ClaimedRun, settings: object): Promise<void> {
  const { config, directory } = run;
  if (config !== null && (await hasCheckpoint(run))) {
    const same = isDeepStrictEqual(config.settings, JSON.parse(JSON.stringify(settings)));
    if (config.command === command && same) return;
    throw new UsageError(
      `${speaker}: ${directory} was not made with the recipe of today. Choose another --name, ` +
        "or give --fresh to move it aside and begin anew.",
    );
  }
  await writeConfig(run, { command, settings: { ...settings } });
}

function taskOf({ seed, vocabulary }: Recipe["training"]) {
  return inductionHeads({ seed, vocabulary });
}

/** The trained model and the steps it took; null when that was interrupted. */
async function trainAsSaid(
  run: ClaimedRun,
  training: Recipe["training"],
  device: Device,
  terminal: Terminal,
): Promise<{ model: LanguageModel; step: number } | null> {
  const { vocabulary, dModel, layers, deltaMin, seed, learningRate, hold, end, clip, stages } = training;
  const saved = await loadSaved(speaker, device, run);
  const from = saved ? progressOf(run.directory, saved.training) : atStart;
  const model = saved
    ? expectLanguageModel(speaker, run.directory, saved.model)
    : createMamba(device, mambaConfig({ vocabulary, dModel, layers, deltaMin }), seed);
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
    { ...training, maxNorm: clip },
    saved ? { moments: saved, updates: from.step } : undefined,
  );
  const outcome = await trainInRun({
    run,
    model,
    trainer,
    task: taskOf(training),
    options: {
      ...training,
      schedule: schedule({ name: "cosine", learningRate, warmup: 0, hold, steps: end, floor: 0.03 }),
    },
    from,
    terminal,
  });
  trainer.free();
  return outcome.reason === "finished" ? { model, step: outcome.step } : null;
}

function sayResults({ directory }: ClaimedRun, { step, training, rows }: Results, terminal: Terminal): void {
  const evaluated = rows.reduce((sum, { seconds }) => sum + seconds, 0);
  terminal.say();
  terminal.say(
    `${count(step)} steps on ${count(training.tokens)} tokens took ${duration(training.seconds)}, ` +
      `the evaluation ${duration(evaluated)}: ${duration(training.seconds + evaluated)} in all.`,
  );
  terminal.say("Not as in the paper:");
  for (const { setting, paper, here, why } of differences) {
    terminal.say(`  ${setting}: ${here} (paper: ${paper}); ${why}`);
  }
  terminal.say(`In ${directory}: config.json, checkpoints/, metrics.jsonl, chart.svg, results.json.`);
  terminal.emit({ type: "results", step, training, evaluationSeconds: evaluated, differences });
}
