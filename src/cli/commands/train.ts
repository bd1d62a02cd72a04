import { type LanguageModel, schedule, Trainer, UsageError } from "../../node.ts";
import { type Command, defineCommand } from "../command.ts";
import { describeDevice, withDevice } from "../device.ts";
import type { Values } from "../flag.ts";
import { deviceFlags, outputFlags, runFlags } from "../flags.ts";
import { count, duration } from "../format.ts";
import { interrupted } from "../interrupt.ts";
import { completed, describeModel, expectLanguageModel, newLanguageModel } from "../model.ts";
import { type ClaimedRun, claimRun, hasCheckpoint, isSameText, type Run, writeConfig } from "../run.ts";
import { readSettings, resumedSettings, settingsOf } from "../settings.ts";
import { bitsPerByte, type Settings, type TaskKind, taskKinds } from "../tasks.ts";
import type { Terminal } from "../terminal.ts";
import { atStart, loadSaved, progressOf, trainInRun } from "../training.ts";

const speaker = "train";
const otherFlags = { ...runFlags, ...deviceFlags, ...outputFlags };

/** `train <task>`, one command a task. */
export const trainCommands: readonly Command[] = taskKinds.map((kind) =>
  defineCommand({
    name: `train ${kind.name}`,
    doc: kind.doc,
    details: kind.details,
    flags: { ...kind.flags, ...otherFlags },
    async run({ values, given, terminal }) {
      const run = await claimRun(speaker, { ...values, name: values.name ?? kind.name });
      try {
        const settings = await settle(kind, run, settingsOf(kind.flags, values), given);
        return await trainKind(kind, run, settings, values, terminal);
      } finally {
        await run.release();
      }
    },
  }),
);

/** The settings to train with: of the command line, or of the run that goes on. */
async function settle(
  kind: TaskKind,
  run: ClaimedRun,
  asked: Settings,
  given: ReadonlySet<string>,
): Promise<Settings> {
  const { config, directory } = run;
  if (config === null || !(await hasCheckpoint(run))) return completed(speaker, asked, given); // nothing to lose
  if (config.command !== `train ${kind.name}`) {
    throw new UsageError(
      `${speaker}: ${directory} is a run of "${config.command}". Choose another --name, ` +
        "or give --fresh to move it aside and begin anew.",
    );
  }
  return resumedSettings(speaker, directory, readSettings(kind, directory, config), asked, given);
}

async function trainKind(
  kind: TaskKind,
  run: ClaimedRun,
  settings: Settings,
  values: Values<typeof otherFlags>,
  terminal: Terminal,
): Promise<number> {
  const { task, source } = await kind.create(settings, speaker);
  task.train(0, 1, settings.length); // says now what the task lacks for this length
  if (source && !isSameText(run.config, source)) {
    throw new UsageError(
      `${speaker}: ${run.directory} learned another text than ${source.path} holds now. Choose another --name, ` +
        "or give --fresh to move it aside and begin anew.",
    );
  }
  if (run.movedTo) terminal.say(`The run that was there is now ${run.movedTo}.`);
  return withDevice(values, async (device) => {
    const saved = await loadSaved(speaker, device, run);
    const step = saved ? progressOf(run.directory, saved.training).step : 0;
    const { file: _, ...kept } = settings;
    await writeConfig(run, { command: `train ${kind.name}`, settings: kept, ...(source && { source }) });

    const model = saved
      ? expectLanguageModel(speaker, run.directory, saved.model)
      : newLanguageModel(device, settings, task.vocabulary);
    const resumed = saved !== null;
    sayStart(terminal, { run, resumed, step, model, settings });
    if (step >= settings.steps) {
      terminal.emit({ type: "end", reason: "finished", step });
      return sayFinished(terminal, run, kind, settings);
    }
    const { batch, length, steps, clip, schedule: name } = settings;
    const from = saved ? { moments: saved, updates: step } : undefined;
    const outcome = await trainInRun({
      run,
      model,
      trainer: new Trainer(model, { ...settings, maxNorm: clip }, from),
      task,
      options: { ...settings, stages: [{ batch, length, steps }], schedule: schedule({ ...settings, name }) },
      from: { ...atStart, step, stageStep: step },
      ...(kind.bytes && { translate: bitsPerByte }),
      terminal,
    });
    if (outcome.reason === "interrupted") {
      terminal.say(`Interrupted after step ${count(outcome.step)} of ${count(steps)}; all of it is saved.`);
      terminal.say(`To go on: ${commandLine(kind, run, values)}`);
      return interrupted;
    }
    terminal.say(`${count(outcome.step - step)} steps in ${duration(outcome.seconds)}.`);
    return sayFinished(terminal, run, kind, settings);
  });
}

interface Start {
  readonly run: Run;
  readonly resumed: boolean;
  readonly step: number;
  readonly model: LanguageModel;
  readonly settings: Settings;
}

function sayStart(terminal: Terminal, { run, resumed, step, model, settings }: Start): void {
  const { directory } = run;
  const { device } = model;
  const { batch, length, accumulation, steps } = settings;
  const parameters = model.parameterCount();
  terminal.emit({ type: "run", directory, resumed, step, parameters, device: device.name, settings });
  terminal.say(
    resumed ? `resuming ${directory} at step ${count(step)} of ${count(steps)}` : `training in ${directory}`,
  );
  terminal.say(`model    ${describeModel(model)}`);
  const pieces = accumulation > 1 ? `${accumulation} × ` : "";
  terminal.say(`data     ${pieces}${batch} sequences of length ${count(length)} per step`);
  terminal.say(`device   ${device.name}: ${describeDevice(device)}`);
}

function sayFinished(terminal: Terminal, run: Run, kind: TaskKind, { steps, schedule }: Settings): number {
  const more = schedule === "constant" ? " Give more --steps to go on." : "";
  terminal.say(
    `${run.directory} is finished, at step ${count(steps)}: checkpoints/, metrics.jsonl, chart.svg.${more}`,
  );
  const next = kind.bytes
    ? `statewise generate --run ${run.directory} --prompt "…"`
    : `statewise eval --run ${run.directory}`;
  terminal.say(`next: ${next}`);
  return 0;
}

/** What to type to go on. */
function commandLine(kind: TaskKind, { name }: Run, { runs, device }: Values<typeof otherFlags>): string {
  const words = [`statewise train ${kind.name}`];
  if (name !== kind.name) words.push(`--name ${name}`);
  if (runs !== runFlags.runs.initial) words.push(`--runs ${runs}`);
  if (device !== undefined) words.push(`--device ${device}`);
  return words.join(" ");
}
