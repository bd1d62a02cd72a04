import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Device, UsageError } from "../../node.ts";
import { type Command, defineCommand } from "../command.ts";
import { describeDevice, withDevice } from "../device.ts";
import { type Values, withInitial } from "../flag.ts";
import { deviceFlags, experimentFlags, outputFlags, runFlags } from "../flags.ts";
import { breathe } from "../interrupt.ts";
import { lineChart, type Panel } from "../lineChart.ts";
import { type ClaimedRun, claimRun, writeConfig, writeJson } from "../run.ts";
import type { Terminal } from "../terminal.ts";

/** An experiment of a paper that trains nothing: tables with the paper's figures, results.json and chart.svg. */
export interface Experiment<Settings extends object> {
  /** "s4-speed", the word after `reproduce` and the name of the run. */
  readonly name: string;
  /** Minutes on two cores. */
  readonly quick: Settings;
  /** What the paper did. */
  readonly paper: Settings;
  readonly parts: readonly Part<Settings>[];
  /** What is not as in the paper, and why: a sentence each. */
  differences(settings: Settings): readonly string[];
}

/** One table, and what of it is drawn. */
export interface Part<Settings> {
  readonly title: string;
  /** The first column is text, all others are numbers. */
  readonly heads: readonly string[];
  run(job: Job<Settings>): Promise<readonly Panel[]>;
}

export interface Job<Settings> {
  readonly settings: Settings;
  readonly device: Device;
  /** Adds a line to the table, and what it says to results.json. */
  row(cells: readonly string[], data: object): Promise<void>;
  /** What is being done now, for someone who watches. */
  progress(text: string): void;
}

/** What is left as results.json, rewritten after every row. */
export interface ExperimentResults {
  readonly device: string;
  readonly settings: object;
  readonly parts: Readonly<Record<string, readonly object[]>>;
}

const speaker = "reproduce";

/** The command of an experiment; its code is loaded when it is asked for. */
export function experimentCommand<Settings extends object>(
  name: string,
  doc: string,
  load: () => Promise<Experiment<Settings>>,
): Command {
  const flags = {
    ...experimentFlags,
    ...withInitial(runFlags, { name }),
    ...deviceFlags,
    ...outputFlags,
  };
  return defineCommand({
    name: `reproduce ${name}`,
    doc,
    flags,
    run: async ({ values, terminal }) => runExperiment(await load(), values, terminal),
  });
}

type ExperimentValues = Values<
  typeof experimentFlags & typeof runFlags & typeof deviceFlags & typeof outputFlags
>;

/** Does all parts in the directory of the run; what an earlier one left there is replaced. */
export async function runExperiment<Settings extends object>(
  experiment: Experiment<Settings>,
  values: ExperimentValues,
  terminal: Terminal,
): Promise<number> {
  const settings = values.paper ? experiment.paper : experiment.quick;
  const command = `reproduce ${experiment.name}`;
  const run = await claimRun(speaker, { ...values, name: values.name ?? experiment.name });
  try {
    if (run.config !== null && run.config.command !== command) {
      throw new UsageError(
        `${speaker}: ${run.directory} is a run of ${run.config.command}. Choose another --name.`,
      );
    }
    await writeConfig(run, { command, settings: { ...settings, paper: values.paper } });
    return await withDevice(values, async (device) => {
      terminal.say(`device   ${device.name}: ${describeDevice(device)}`);
      terminal.say(`settings ${values.paper ? "of the paper" : "quick"}: ${inWords(settings)}`);
      await runParts(experiment, settings, run, device, terminal);
      terminal.say();
      terminal.say("Not as in the paper:");
      for (const difference of experiment.differences(settings)) terminal.say(`  ${difference}`);
      terminal.say(`In ${run.directory}: config.json, chart.svg, results.json.`);
      return 0;
    });
  } finally {
    await run.release();
  }
}

async function runParts<Settings extends object>(
  experiment: Experiment<Settings>,
  settings: Settings,
  run: ClaimedRun,
  device: Device,
  terminal: Terminal,
): Promise<void> {
  const parts: Record<string, object[]> = {};
  const panels: Panel[] = [];
  const live = await terminal.liveLine();
  for (const { title, heads, run: runPart } of experiment.parts) {
    const rows: object[] = (parts[title] = []);
    const widths = heads.map((head, i) => Math.max(head.length, i === 0 ? 16 : 10));
    const line = (cells: readonly string[]) =>
      cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
    terminal.say();
    terminal.say(terminal.colors.bold(title));
    terminal.say(terminal.colors.bold(line(heads)));
    const drawn = await runPart({
      settings,
      device,
      async row(cells, data) {
        live?.clear();
        rows.push(data);
        terminal.say(line(cells));
        terminal.emit({ type: "row", part: title, ...data });
        const results: ExperimentResults = { device: device.name, settings, parts };
        await writeJson(run.files, `${run.name}/results.json`, results);
        await breathe();
      },
      progress: (text) => live?.update(text),
    });
    panels.push(...drawn);
  }
  live?.clear();
  await writeFile(join(run.directory, "chart.svg"), lineChart(`reproduce ${experiment.name}`, panels));
}

/** "length 1024, dims 128, 256, 512, seed 0" */
function inWords(settings: object): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${[value].flat().join(", ")}`)
    .join(", ");
}
