import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import type { MemoryPlan, TrainEvent } from "../node.ts";

/** One line of metrics.jsonl. */
export type Metric =
  | {
      readonly type: "stage";
      /** The first step of the stage. */
      readonly step: number;
      readonly stage: number;
      readonly batch: number;
      readonly length: number;
      readonly memory: MemoryPlan;
    }
  | Extract<TrainEvent, { type: "step" | "evaluation" }>;

export interface MetricsFile {
  append(metric: Metric): void;
  /** Waits until all lines are on the disk: before a checkpoint that says they are. */
  flush(): void;
  close(): void;
}

/**
 * Opens the metrics of a run for appending. What lies after `step`, where the run goes on, is dropped: those steps
 * will be made again, and each has one line.
 */
export async function openMetrics(path: string, step: number): Promise<MetricsFile> {
  const kept = step === 0 ? [] : (await readMetrics(path)).filter((metric) => metric.step <= step);
  const temporary = `${path}.tmp`;
  await writeFile(temporary, kept.map((metric) => `${JSON.stringify(metric)}\n`).join(""));
  await rename(temporary, path);
  const file = openSync(path, "a");
  return {
    append: (metric) => void writeSync(file, `${JSON.stringify(metric)}\n`),
    flush: () => fsyncSync(file),
    close: () => closeSync(file),
  };
}

/** All whole lines of a metrics.jsonl; none when there is no such file. */
export async function readMetrics(path: string): Promise<Metric[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  const metrics: Metric[] = [];
  for (const line of text.split("\n")) {
    const metric = metricOf(line);
    if (metric) metrics.push(metric);
  }
  return metrics;
}

/** Null for a line that a kill cut short. */
function metricOf(line: string): Metric | null {
  try {
    const value: unknown = JSON.parse(line);
    const isMetric = typeof value === "object" && value !== null && "type" in value && "step" in value;
    return isMetric ? (value as Metric) : null;
  } catch {
    return null;
  }
}
