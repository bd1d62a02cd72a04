import { join } from "node:path";
import {
  type BatchSource,
  type Device,
  DeviceLostError,
  DivergenceError,
  type Extent,
  FormatError,
  loadTraining,
  type Model,
  saveTraining,
  type Stage,
  train,
  type Trainer,
  type TrainEvent,
  type Training,
  type TrainOptions,
} from "../node.ts";
import { count, measures, memoryInWords, percent, short } from "./format.ts";
import { breathe, onInterrupt } from "./interrupt.ts";
import { openMetrics } from "./metrics.ts";
import { TrainingProgress } from "./progress.ts";
import { type ClaimedRun, hasCheckpoint, type Run } from "./run.ts";
import type { Terminal } from "./terminal.ts";

export type Progress = Extract<TrainEvent, { type: "checkpoint" }>["progress"];

export const atStart: Progress = { step: 0, stage: 0, stageStep: 0, recent: [] };

/**
 * Where a run is to go on from; null for one that was never saved.
 * @throws FormatError when it was saved and nothing whole is left, so that nobody trains over the rest.
 */
export async function loadSaved(speaker: string, device: Device, run: ClaimedRun): Promise<Training | null> {
  const saved = await loadTraining(device, run.files, run.name);
  if (saved || !(await hasCheckpoint(run))) return saved;
  throw new FormatError(
    `${speaker}: ${run.directory} has checkpoints, and none of them is whole. Choose another --name, ` +
      "or give --fresh to move it aside and begin anew.",
  );
}

/** Where a run stood when it was saved; `directory` is for the error about what cannot be. */
export function progressOf(directory: string, training: unknown): Progress {
  const progress = (training as { progress?: Partial<Progress> } | null)?.progress;
  const { step, stage, stageStep, recent } = progress ?? {};
  if (isCount(step) && isCount(stage) && isCount(stageStep) && Array.isArray(recent)) {
    return { step, stage, stageStep, recent };
  }
  throw new FormatError(
    `${directory}: training.json of the newest checkpoint must say where the run stands, got ${JSON.stringify(
      progress,
    )}. Remove that checkpoint to go on from the one before.`,
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

export interface TrainingJob {
  readonly run: Run;
  readonly model: Model;
  readonly trainer: Trainer<Extent>;
  readonly task: BatchSource<Extent>;
  readonly options: Omit<TrainOptions, "signal">;
  readonly from: Progress;
  /** What a loss means beside nats: "1.23 bits per byte". */
  readonly translate?: (loss: number) => string;
  readonly terminal: Terminal;
}

export interface TrainingOutcome {
  readonly reason: "finished" | "interrupted";
  readonly step: number;
  readonly seconds: number;
}

/**
 * Trains in a run's directory: shows the progress, writes metrics, checkpoints and the chart, ends at a signal with
 * all of it saved.
 * @throws DivergenceError, after the chart was drawn; the last checkpoint is as it was.
 */
export async function trainInRun(job: TrainingJob): Promise<TrainingOutcome> {
  const { run, trainer, task, options, from, terminal } = job;
  const metrics = await openMetrics(join(run.directory, "metrics.jsonl"), from.step);
  const progress = new TrainingProgress(terminal, await terminal.liveLine());
  const interrupt = onInterrupt(() =>
    terminal.note("Finishing this step, then saving. Ctrl-C again stops at once, at the last checkpoint."),
  );
  sayMemory(job);
  const started = performance.now();
  let step = from.step;
  let stageStep = from.stageStep; // of the stage that the run goes on in
  let saved = from.step > 0 ? `The checkpoint of step ${from.step} is kept` : "There is no checkpoint yet";
  try {
    for await (const event of train(trainer, task, { ...options, signal: interrupt.signal }, from)) {
      if (event.type === "stage") {
        const { stage, of, memory } = event;
        progress.begin(remaining(options.stages.slice(stage), step - stageStep));
        sayStage(job, event);
        const { batch, length } = of;
        terminal.emit({ type: "stage", stage, ...of, memory });
        if (stageStep === 0) metrics.append({ type: "stage", step: step + 1, stage, batch, length, memory });
        stageStep = 0;
      } else if (event.type === "step") {
        metrics.append(event);
        terminal.emit(event);
        progress.step(event);
        step = event.step;
      } else if (event.type === "evaluation") {
        metrics.append(event);
        terminal.emit(event);
        sayEvaluation(job, event);
      } else if (event.type === "checkpoint") {
        metrics.flush();
        await save(job, event.progress);
        saved = `The checkpoint of step ${step} is kept`;
        terminal.emit({ type: "checkpoint", step });
      } else {
        progress.clear();
        terminal.emit({ type: "end", reason: event.reason, step });
        const seconds = (performance.now() - started) / 1000;
        return { reason: event.reason, step, seconds };
      }
      await breathe();
    }
    throw new Error("internal: the training ended without an end");
  } catch (error) {
    progress.clear();
    const where = `${saved} in ${run.directory}.`;
    if (error instanceof DeviceLostError) {
      throw new DeviceLostError(`${error.message} ${where}`, error.outOfMemory);
    }
    if (!(error instanceof DivergenceError)) throw error;
    throw new DivergenceError(`${error.message} ${where}`, { cause: error });
  } finally {
    interrupt.stop();
    metrics.close();
    await drawChart(run);
  }
}

async function save({ run, model, trainer }: TrainingJob, progress: Progress): Promise<void> {
  const { m, v } = trainer.optimizer.moments;
  await saveTraining(run.files, run.name, progress.step, { model, m, v, training: { progress } });
}

/** Where the run will end, when these stages are ahead of it and the first began after `step`. */
function remaining(stages: readonly Stage[], step: number): { steps: number; atMost: boolean } {
  return {
    steps: stages.reduce((sum, { steps }) => sum + steps, step),
    atMost: stages.some(({ until }) => until !== undefined),
  };
}

/** What the run will take, before it begins: the programs of its largest stage are made, so what is needed can be had. */
function sayMemory({ trainer, task, options, from, terminal }: TrainingJob): void {
  const ahead = options.stages.slice(from.stage);
  if (ahead.length === 0) return;
  const tokens = ({ batch, length }: Stage) => batch * length;
  const largest = ahead.reduce((a, b) => (tokens(b) > tokens(a) ? b : a));
  const memory = trainer.plan(task.train(0, largest.batch, largest.length), options.accumulation);
  terminal.say(`memory   ${memoryInWords(memory)}`);
}

/** Says which stage begins, unless its sequences are no longer than those that came before. */
function sayStage(
  { options, terminal }: TrainingJob,
  { stage, of }: Extract<TrainEvent, { type: "stage" }>,
): void {
  const { length } = options.stages;
  if (length === 1 || options.stages.slice(0, stage).some((earlier) => earlier.length >= of.length)) return;
  terminal.say(`stage ${stage + 1} of ${length}: ${describeStage(of)}`);
}

function describeStage({ batch, length, steps, until }: Stage): string {
  const end = until
    ? `until ${percent(until.accuracy)} right, at most ${count(steps)} steps`
    : `${count(steps)} steps`;
  return `${batch} ${batch === 1 ? "sequence" : "sequences"} of length ${count(length)}, ${end}`;
}

function sayEvaluation(
  { terminal, translate }: TrainingJob,
  { step, loss, ...score }: Extract<TrainEvent, { type: "evaluation" }>,
): void {
  const also = translate ? ` (${translate(loss)})` : "";
  const fields = [`validation loss ${short(loss)}${also}`, ...measures(score)];
  terminal.say(`step ${count(step)}: ${fields.join(", ")}`);
}

async function drawChart(run: Run): Promise<void> {
  const { writeChart } = await import("./chart.ts"); // half a second that only the end of a run pays for
  await writeChart(run);
}
