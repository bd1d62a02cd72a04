import type { Batch } from "../data/task.ts";
import { evaluate } from "./evaluate.ts";
import type { BatchSource, Extent, Score } from "./objective.ts";
import type { Schedule } from "./schedule.ts";
import type { MemoryPlan, StepResult, Trainer, TrainerOptions } from "./trainer.ts";

/** A stretch of training on batches of one shape. */
export interface Stage {
  readonly batch: number;
  readonly length: number;
  /** Steps after which the stage ends. */
  readonly steps: number;
  /** It ends earlier when the mean training accuracy of the last `over` steps reaches `accuracy`. */
  readonly until?: { readonly accuracy: number; readonly over: number };
}

export interface TrainOptions extends TrainerOptions {
  readonly stages: readonly Stage[];
  readonly schedule: Schedule;
  /** Batches whose gradients are averaged in one step. Default 1. */
  readonly accumulation?: number;
  /** Steps between evaluations on the task's validation data. Default: none. */
  readonly evaluateEvery?: number;
  /** Validation batches of an evaluation. Default 4. */
  readonly evaluationBatches?: number;
  /** Steps between checkpoint events. Default: only at the end. */
  readonly checkpointEvery?: number;
  /** Aborting ends the run after the current step, with a checkpoint event. */
  readonly signal?: AbortSignal;
}

/** Where a run stands, beside its parameters and moments: enough to go on bit for bit. Plain data. */
export interface Progress {
  /** Steps made. */
  readonly step: number;
  /** Index of the current stage, and steps made in it. */
  readonly stage: number;
  readonly stageStep: number;
  /** Training accuracies of the stage's latest steps, as many as its `until` looks at. */
  readonly recent: readonly number[];
}

export const atStart: Progress = { step: 0, stage: 0, stageStep: 0, recent: [] };

export type TrainEvent =
  | { readonly type: "stage"; readonly stage: number; readonly of: Stage; readonly memory: MemoryPlan }
  | (StepResult & {
      readonly type: "step";
      readonly step: number;
      readonly stage: number;
      readonly learningRate: number;
      /** Tokens of this step, and how long it took. */
      readonly tokens: number;
      readonly seconds: number;
    })
  | (Score & { readonly type: "evaluation"; readonly step: number })
  | { readonly type: "checkpoint"; readonly progress: Progress }
  | { readonly type: "end"; readonly reason: "finished" | "interrupted"; readonly progress: Progress };

/**
 * Trains until the stages are done and says what happens. The generator pauses while an event is handled, so a
 * consumer that saves on "checkpoint" saves exactly that moment. Batch i of the run is the task's batch i, so a run
 * resumed from `from` (with the trainer's parameters and moments as they were) equals one that never stopped.
 */
export async function* train<B extends Extent = Batch>(
  trainer: Trainer<B>,
  task: BatchSource<B>,
  options: TrainOptions,
  from: Progress = atStart,
): AsyncGenerator<TrainEvent, void, void> {
  const { stages, schedule, accumulation = 1, signal } = options;
  const { evaluateEvery = 0, evaluationBatches = 4, checkpointEvery = 0 } = options;
  let { step, stageStep } = from;
  let recent = [...from.recent];
  for (let stage = from.stage; stage < stages.length; stage++) {
    const current = stages[stage];
    const { batch, length, steps, until } = current;
    const batches = () =>
      Array.from({ length: accumulation }, (_, i) => task.train(step * accumulation + i, batch, length));
    const shape = task.train(0, batch, length);
    yield { type: "stage", stage, of: current, memory: trainer.plan(shape, accumulation) };
    while (stageStep < steps && !reached(recent, until)) {
      const progress = { step, stage, stageStep, recent };
      if (signal?.aborted) {
        yield { type: "checkpoint", progress };
        yield { type: "end", reason: "interrupted", progress };
        return;
      }
      const started = performance.now();
      const learningRate = schedule(step + 1);
      const result = await trainer.step(batches(), learningRate);
      const seconds = (performance.now() - started) / 1000;
      step++;
      stageStep++;
      if (until) recent = [...recent, result.accuracy ?? 0].slice(-until.over);
      const tokens = batch * shape.length * accumulation;
      yield { type: "step", step, stage, ...result, learningRate, tokens, seconds };
      if (evaluateEvery && step % evaluateEvery === 0) {
        const score = await evaluate(trainer.objective, task, { batches: evaluationBatches, batch, length });
        yield { type: "evaluation", step, ...score };
      }
      if (checkpointEvery && step % checkpointEvery === 0) {
        yield { type: "checkpoint", progress: { step, stage, stageStep, recent } };
      }
    }
    stageStep = 0;
    recent = [];
  }
  const progress = { step, stage: stages.length, stageStep, recent };
  yield { type: "checkpoint", progress };
  yield { type: "end", reason: "finished", progress };
}

function reached(recent: readonly number[], until: Stage["until"]): boolean {
  if (!until || recent.length < until.over) return false;
  return recent.reduce((a, b) => a + b, 0) / recent.length >= until.accuracy;
}
