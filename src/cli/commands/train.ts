import { resolve } from "node:path";
import { type Extent, type Model, schedule, Trainer, UsageError } from "../../node.ts";
import { type Command, defineCommand } from "../command.ts";
import { describeDevice, withLastingDevice } from "../device.ts";
import type { Values } from "../flag.ts";
import { deviceFlags, outputFlags, runFlags } from "../flags.ts";
import { count, duration } from "../format.ts";
import { interrupted } from "../interrupt.ts";
import type { Lesson, Settings, TaskKind } from "../lesson.ts";
import { completed, describeModel } from "../model.ts";
import {
  type ClaimedRun,
  claimRun,
  hasCheckpoint,
  isSameSource,
  type Run,
  savedIn,
  writeConfig,
} from "../run.ts";
import { dataFlags, readSettings, resumedSettings, settingsOf } from "../settings.ts";
import { taskKinds } from "../tasks.ts";
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
  if (config === null || !(await hasCheckpoint(run))) return completed(speaker, asked, given, kind.flags); // nothing to lose
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
  const lesson = await kind.prepare(settings, speaker);
  const { task, length, source, view } = lesson;
  task.train(0, 1, length); // says now what the task lacks for this length
  if (source && !isSameSource(run.config, source)) {
    throw new UsageError(
      `${speaker}: ${run.directory} learned something else than ${source.path} holds now. Choose another --name, ` +
        "or give --fresh to move it aside and begin anew.",
    );
  }
  if (run.movedTo) terminal.say(`The run that was there is now ${run.movedTo}.`);
  return withLastingDevice(values, { terminal, saved: () => savedIn(run) }, async (device) => {
    const saved = await loadSaved(speaker, device, run);
    const step = saved ? progressOf(run.directory, saved.training).step : 0;
    const command = `train ${kind.name}`;
    await writeConfig(run, {
      command,
      settings: kept(settings),
      ...(source && { source }),
      ...(view && { view }),
    });

    const model = saved?.model ?? lesson.newModel(device);
    const objective = lesson.objective(model, run.directory);
    const resumed = saved !== null;
    sayStart(terminal, { run, resumed, step, model, length, settings });
    const finish = async () => {
      await lesson.score?.({ run, model, batch: settings.batch, terminal, keep: true });
      return sayFinished(terminal, run, lesson, settings);
    };
    if (step >= settings.steps) {
      terminal.emit({ type: "end", reason: "finished", step });
      return finish();
    }
    const { batch, steps, clip, schedule: name } = settings;
    const evaluationBatches = Math.min(settings.evaluationBatches, lesson.mostBatches ?? Infinity);
    const from = saved ? { moments: saved, updates: step } : undefined;
    const outcome = await trainInRun({
      run,
      model,
      trainer: new Trainer<Extent>(objective, { ...settings, maxNorm: clip }, from),
      task,
      options: {
        ...settings,
        evaluationBatches,
        stages: [{ batch, length, steps }],
        schedule: schedule({ ...settings, name }),
      },
      from: { ...atStart, step, stageStep: step },
      ...(lesson.translate && { translate: lesson.translate }),
      terminal,
    });
    if (outcome.reason === "interrupted") {
      terminal.say(`Interrupted after step ${count(outcome.step)} of ${count(steps)}; all of it is saved.`);
      terminal.say(`To go on: ${commandLine(kind, run, values)}`);
      return interrupted;
    }
    terminal.say(`${count(outcome.step - step)} steps in ${duration(outcome.seconds)}.`);
    return finish();
  });
}

/** The settings to be kept: a path is the same wherever it is read; that of the file which is learned is its source's. */
function kept(settings: Settings): Readonly<Record<string, unknown>> {
  const { file: _, ...rest } = settings;
  const paths = dataFlags.flatMap((name) => {
    const path = name === "file" ? undefined : rest[name];
    return path === undefined ? [] : [[name, resolve(path)] as const];
  });
  return { ...rest, ...Object.fromEntries(paths) };
}

interface Start {
  readonly run: Run;
  readonly resumed: boolean;
  readonly step: number;
  readonly model: Model;
  readonly length: number;
  readonly settings: Settings;
}

function sayStart(terminal: Terminal, { run, resumed, step, model, length, settings }: Start): void {
  const { directory } = run;
  const { device } = model;
  const { batch, accumulation, steps } = settings;
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

function sayFinished(terminal: Terminal, run: Run, lesson: Lesson, { steps, schedule }: Settings): number {
  const more = schedule === "constant" ? " Give more --steps to go on." : "";
  terminal.say(
    `${run.directory} is finished, at step ${count(steps)}: checkpoints/, metrics.jsonl, chart.svg.${more}`,
  );
  terminal.say(`next: ${lesson.next(run.directory)}`);
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
