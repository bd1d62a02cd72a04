import type { Command } from "./command.ts";
import { bench } from "./commands/bench.ts";
import { devices } from "./commands/devices.ts";
import { evaluation } from "./commands/eval.ts";
import { experimentCommands } from "./commands/experiments.ts";
import { forecast } from "./commands/forecast.ts";
import { generate } from "./commands/generate.ts";
import { inspect } from "./commands/inspect.ts";
import { reproduceInductionHeads } from "./commands/reproduce.ts";
import { ablation } from "./reproduce/ablation.ts";
import { comparisonCommand } from "./reproduce/comparison.ts";
import { selectiveCopyingComparison } from "./reproduce/selectiveCopying.ts";
import { trainCommands } from "./commands/train.ts";

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  ...trainCommands,
  evaluation,
  generate,
  forecast,
  inspect,
  reproduceInductionHeads,
  ...experimentCommands,
  comparisonCommand(selectiveCopyingComparison),
  comparisonCommand(ablation),
  devices,
  bench,
];

/** What the first words of two-word commands have in common. */
export const groups: Readonly<Record<string, string>> = {
  train: "Trains a model on a task or on your data, or goes on with a run.",
  reproduce: "Does again what a paper did, and puts the numbers beside the paper's.",
};
