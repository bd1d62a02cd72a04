import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Device, UsageError } from "../../node.ts";
import { type Command, defineCommand } from "../command.ts";
import { describeDevice, withDevice } from "../device.ts";
import { type Values, withInitial } from "../flag.ts";
import { deviceFlags, experimentFlags, outputFlags, runFlags } from "../flags.ts";
import { breathe } from "../interrupt.ts";
import { counted } from "../format.ts";
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
  /** What is measured under a name that no other part uses; not again by a run that goes on after an interruption. */
  once<Value>(name: string, measure: () => Promise<Value>): Promise<Value>;
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

/** Does all parts in the directory of the run; what an earlier one left there is replaced, unless it was interrupted. */
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
      terminal.aside("Ctrl-C ends it; the same command goes on with what is not measured yet.");
      const once = await measuredOnce(run, { device: describeDevice(device), settings }, terminal);
      await runParts(experiment, settings, { run, device, terminal, once });
      await run.files.remove(measuredPath(run));
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

/** Where an experiment is done. */
interface Place {
  readonly run: ClaimedRun;
  readonly device: Device;
  readonly terminal: Terminal;
  readonly once: Job<object>["once"];
}

async function runParts<Settings extends object>(
  experiment: Experiment<Settings>,
  settings: Settings,
  { run, device, terminal, once }: Place,
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
      once,
    });
    panels.push(...drawn);
  }
  live?.clear();
  await writeFile(join(run.directory, "chart.svg"), lineChart(`reproduce ${experiment.name}`, panels));
}

const measuredPath = (run: ClaimedRun) => `${run.name}/measured.json`;

/**
 * What is measured is written at once: a measurement can take minutes in which no signal is heard, so an interruption ends
 * the process there and then. What an earlier run measured counts if it had the same settings and a device like this.
 */
async function measuredOnce(
  run: ClaimedRun,
  made: { device: string; settings: object },
  terminal: Terminal,
): Promise<Place["once"]> {
  const found = await readFile(join(run.directory, "measured.json"), "utf8").catch(() => "null");
  const before = JSON.parse(found, revived) as (typeof made & { values: Record<string, unknown> }) | null;
  const plain = JSON.parse(JSON.stringify(made, replaced), revived) as typeof made;
  const goesOn =
    before !== null && isDeepStrictEqual({ ...before, values: null }, { ...plain, values: null });
  const values = goesOn ? before.values : {};
  const known = Object.keys(values).length;
  if (known > 0) terminal.say(`going on: ${counted(known, "measurement")} of an interrupted run`);
  return async <Value>(name: string, measure: () => Promise<Value>) => {
    if (Object.hasOwn(values, name)) return values[name] as Value; // the same code made it
    const value = await measure();
    values[name] = value;
    const text = JSON.stringify({ ...made, values }, replaced);
    await run.files.write(measuredPath(run), new TextEncoder().encode(`${text}\n`));
    return value;
  };
}

/** JSON has no Infinity and no NaN. */
function replaced(_name: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? { number: String(value) } : value;
}

function revived(_name: string, value: unknown): unknown {
  const isNumber = typeof value === "object" && value !== null && "number" in value;
  return isNumber ? Number(value.number) : value;
}

/** "length 1024, dims 128, 256, 512, seed 0" */
function inWords(settings: object): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${[value].flat().join(", ")}`)
    .join(", ");
}
