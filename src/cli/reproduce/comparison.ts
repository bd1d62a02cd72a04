import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Device, type MambaConfig, mambaConfig, selectiveCopying, type Task } from "../../node.ts";
import { type Command, defineCommand } from "../command.ts";
import { withLastingDevice } from "../device.ts";
import { measure, type Row } from "../evaluation.ts";
import { type Values, withInitial } from "../flag.ts";
import { deviceFlags, experimentFlags, outputFlags, runFlags } from "../flags.ts";
import { count, duration, percent } from "../format.ts";
import { interrupted } from "../interrupt.ts";
import { lineChart, type Line } from "../lineChart.ts";
import { readMetrics } from "../metrics.ts";
import { claimRun, type Run, savedIn, writeJson } from "../run.ts";
import type { Terminal } from "../terminal.ts";
import { expectSameRecipe, type TrainingRecipe, trainRecipe } from "./recipeRun.ts";

/** Selective copying, the model that learns it, and how both are tested. */
export interface ComparisonSettings extends TrainingRecipe {
  readonly vocabulary: number;
  /** Data tokens in a sequence. */
  readonly memorize: number;
  readonly dModel: number;
  readonly layers: number;
  readonly testLength: number;
  readonly testBatches: number;
  readonly testBatch: number;
}

/** One of the models. */
export interface Contender {
  /** Of its run, and in results.json. */
  readonly name: string;
  readonly title: string;
  /** What the paper reports for it. */
  readonly paper: string;
  config(settings: ComparisonSettings): Partial<MambaConfig>;
}

/** Models that differ in one thing, trained alike on selective copying (section 4.1.1 of Gu & Dao 2023). */
export interface Comparison {
  /** The word after `reproduce`, and the name of the run. */
  readonly name: string;
  readonly doc: string;
  /** Over the paper's column. */
  readonly paperHead: string;
  readonly contenders: readonly Contender[];
  /** Minutes on two cores. */
  readonly quick: ComparisonSettings;
  readonly paper: ComparisonSettings;
  differences(settings: ComparisonSettings): readonly string[];
}

/** What is known of a contender when it is trained and tested. */
export interface ContenderResult extends Row {
  readonly name: string;
  readonly paper: string;
  readonly parameters: number;
  readonly step: number;
  /** Of training. */
  readonly trainingSeconds: number;
}

const flags = { ...experimentFlags, ...runFlags, ...deviceFlags, ...outputFlags };

export function comparisonCommand(comparison: Comparison): Command {
  return defineCommand({
    name: `reproduce ${comparison.name}`,
    doc: comparison.doc,
    details: "It can be interrupted at any moment; the same command goes on from there.",
    flags: { ...flags, ...withInitial(runFlags, { name: comparison.name }) },
    run: ({ values, terminal }) => compare(comparison, values, terminal),
  });
}

/** Trains and tests what is not trained and tested yet, one contender after the other: runs/<name>/<contender>. */
export async function compare(
  comparison: Comparison,
  values: Values<typeof flags>,
  terminal: Terminal,
): Promise<number> {
  const settings = values.paper ? comparison.paper : comparison.quick;
  const command = `reproduce ${comparison.name}`;
  const run = await claimRun("reproduce", { ...values, name: values.name ?? comparison.name });
  try {
    if (run.movedTo) terminal.say(`The run that was there is now ${run.movedTo}.`);
    await expectSameRecipe(run, command, settings, true);
    return await withLastingDevice(values, { terminal, saved: () => savedIn(run) }, async (device) => {
      const results: ContenderResult[] = [];
      for (const contender of comparison.contenders) {
        terminal.say(terminal.colors.bold(contender.title));
        const result = await contend({ contender, settings, command, runs: run.directory, device, terminal });
        if (result === null) {
          terminal.say(`To go on: statewise ${command}${values.paper ? " --paper" : ""}`);
          return interrupted;
        }
        results.push(result);
        const path = `${run.name}/results.json`;
        await writeJson(run.files, path, { device: device.name, settings, rows: results });
        terminal.emit({ type: "row", ...result });
        terminal.say();
      }
      sayTable(comparison, results, terminal);
      terminal.say("Not as in the paper:");
      for (const difference of comparison.differences(settings)) terminal.say(`  ${difference}`);
      await drawCourse(run, comparison);
      terminal.say(`In ${run.directory}: config.json, chart.svg, results.json, and a run of each model.`);
      return 0;
    });
  } finally {
    await run.release();
  }
}

interface Turn {
  readonly contender: Contender;
  readonly settings: ComparisonSettings;
  readonly command: string;
  /** The directory of the comparison. */
  readonly runs: string;
  readonly device: Device;
  readonly terminal: Terminal;
}

/** One contender; null when it was interrupted. */
async function contend(turn: Turn): Promise<ContenderResult | null> {
  const { contender, settings, command, runs, device, terminal } = turn;
  const { name, paper } = contender;
  const { vocabulary, dModel, layers, testLength: length, testBatch: batch, testBatches: batches } = settings;
  const run = await claimRun("reproduce", { name, runs, fresh: false });
  try {
    const config = mambaConfig({ vocabulary, dModel, layers, ...contender.config(settings) });
    const last = settings.stages[settings.stages.length - 1];
    await expectSameRecipe(run, command, { ...settings, batch: last.batch, length: last.length, config });
    const task = taskOf(settings);
    const trained = await trainRecipe({ run, recipe: settings, config, task, device, terminal });
    if (trained === null) return null;
    const { model, step } = trained;
    const live = await terminal.liveLine();
    const row = await measure({ model, task, length, batch, batches, live });
    const trainingSeconds = (await stepsOf(run)).reduce((sum, { seconds }) => sum + seconds, 0);
    const result = { name, paper, parameters: model.parameterCount(), step, trainingSeconds, ...row };
    for (const parameter of model.parameters.values()) parameter.free();
    return result;
  } finally {
    await run.release();
  }
}

function taskOf({ seed, vocabulary, memorize }: ComparisonSettings): Task {
  return selectiveCopying({ seed, vocabulary, memorize });
}

async function stepsOf({ directory }: Run) {
  const metrics = await readMetrics(join(directory, "metrics.jsonl"));
  return metrics.filter((metric) => metric.type === "step");
}

function sayTable(
  { contenders, paperHead }: Comparison,
  results: readonly ContenderResult[],
  terminal: Terminal,
): void {
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(34) : cell.padStart(i === 3 ? 13 : 10))).join("");
  const heads = ["", "accuracy", "loss", paperHead, "steps", "time"];
  terminal.say(terminal.colors.bold(line(heads)));
  for (const [i, { accuracy, loss, paper, step, trainingSeconds }] of results.entries()) {
    const { title } = contenders[i];
    const numbers = [percent(accuracy), loss.toPrecision(3), paper, count(step), duration(trainingSeconds)];
    terminal.say(line([title, ...numbers]));
  }
}

/** Accuracy in training by step, a mean of 20 steps a point, in percent. */
async function drawCourse(run: Run, { name, contenders }: Comparison): Promise<void> {
  const lines: Line[] = [];
  for (const { name: own, title } of contenders) {
    const steps = await stepsOf({ ...run, directory: join(run.directory, own) });
    const points: [number, number][] = [];
    for (let i = 0; i + 20 <= steps.length; i += 20) {
      const part = steps.slice(i, i + 20);
      points.push([part[19].step, part.reduce((sum, { accuracy = 0 }) => sum + 5 * accuracy, 0)]);
    }
    lines.push({ name: title, points });
  }
  const panel = { x: { label: "step" }, y: { label: "accuracy in training (%)" }, lines };
  await writeFile(join(run.directory, "chart.svg"), lineChart(`reproduce ${name}`, [panel]));
}
