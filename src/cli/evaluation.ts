import { type BatchSource, evaluate, type Extent, type LanguageModel, type Objective } from "../node.ts";
import { count, percent, thousands } from "./format.ts";
import type { LiveLine } from "./terminal.ts";

/** How a model does on validation sequences of one length. */
export interface Row {
  readonly length: number;
  readonly sequences: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly seconds: number;
}

export interface Measurement {
  readonly model: LanguageModel | Objective<Extent>;
  readonly task: BatchSource<Extent>;
  readonly length: number;
  readonly batch: number;
  readonly batches: number;
  /** Shows how far it is. */
  readonly live: LiveLine | null;
}

/** Evaluates at one length. */
export async function measure({ model, task, length, batch, batches, live }: Measurement): Promise<Row> {
  const total = batches * batch * task.validation(0, 1, length).length;
  const started = performance.now();
  const progress = (tokens: number) =>
    live?.update(`length ${count(length)}: ${percent(tokens / total)} of ${thousands(total)} tokens`);
  const score = await evaluate(model, task, { batches, batch, length, progress });
  live?.clear();
  const { loss, accuracy = NaN } = score; // NaN when no token had a target
  return {
    length,
    sequences: batches * batch,
    loss,
    accuracy,
    seconds: (performance.now() - started) / 1000,
  };
}
