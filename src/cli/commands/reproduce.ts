import { inductionHeads, mambaConfig } from "../../node.ts";
import { defineCommand } from "../command.ts";
import { withLastingDevice } from "../device.ts";
import { type Values, withInitial } from "../flag.ts";
import { deviceFlags, outputFlags, runFlags } from "../flags.ts";
import { count, duration } from "../format.ts";
import { interrupted } from "../interrupt.ts";
import { evaluateLengths, type Results } from "../reproduce/evaluation.ts";
import { differences, type Recipe, recipe } from "../reproduce/inductionHeads.ts";
import { expectSameRecipe, trainRecipe } from "../reproduce/recipeRun.ts";
import { type ClaimedRun, claimRun, savedIn } from "../run.ts";
import type { Terminal } from "../terminal.ts";

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
    await expectSameRecipe(run, command, settings);
    if (run.movedTo) terminal.say(`The run that was there is now ${run.movedTo}.`);
    return await withLastingDevice(values, { terminal, saved: () => savedIn(run) }, async (device) => {
      const { vocabulary, dModel, layers, deltaMin } = training;
      const config = mambaConfig({ vocabulary, dModel, layers, deltaMin });
      const task = taskOf(training);
      const trained = await trainRecipe({ run, recipe: training, config, task, device, terminal });
      if (trained === null) {
        terminal.say(`To go on: statewise ${command}`);
        return interrupted;
      }
      sayResults(run, await evaluateLengths({ ...trained, task, run, evaluation, terminal }), terminal);
      return 0;
    });
  } finally {
    await run.release();
  }
}

function taskOf({ seed, vocabulary }: Recipe["training"]) {
  return inductionHeads({ seed, vocabulary });
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
