import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as Plot from "@observablehq/plot";
import { type Metric, readMetrics } from "./metrics.ts";
import { page, panel } from "./page.ts";
import type { Run } from "./run.ts";

/** Points of a curve: what a screen can show. Each is the mean of the steps around it. */
const mostPoints = 300;

export const colors = { training: "#4269d0", validation: "#efb118" };

interface Point {
  readonly step: number;
  readonly loss: number;
  readonly accuracy?: number;
  readonly mae?: number;
}

/** Draws the metrics of a run as its chart.svg. */
export async function writeChart({ name, directory }: Run): Promise<void> {
  const metrics = await readMetrics(join(directory, "metrics.jsonl"));
  if (!metrics.some(({ type }) => type === "step")) return;
  await writeFile(join(directory, "chart.svg"), chartOf(name, metrics));
}

/** Loss above, what else is measured below, over the steps; a line where sequences become longer than they ever were. */
export function chartOf(name: string, metrics: readonly Metric[]): string {
  const steps = thinned(metrics.filter((metric) => metric.type === "step"));
  const evaluations = metrics.filter((metric) => metric.type === "evaluation");
  const last = Math.max(...metrics.map(({ step }) => step));
  const stages = lengthenings(
    metrics.filter((metric) => metric.type === "stage"),
    last,
  );

  const stageMarks = [
    Plot.ruleX(stages, { x: "step", stroke: "#999", strokeDasharray: "4 4" }),
    Plot.text(stages, {
      x: "step",
      frameAnchor: "top",
      textAnchor: "start",
      dx: 4,
      dy: -2,
      fill: "#666",
      text: "label",
    }),
  ];
  const panelOf = (y: "loss" | "accuracy" | "mae", label: string, options: Plot.ScaleOptions): string => {
    const curve = (points: readonly Point[], stroke: string, strokeWidth: number) =>
      Plot.lineY(points, { x: "step", y, stroke, strokeWidth });
    return panel({
      x: { label: "step", grid: true, domain: [0, last] },
      y: { label, grid: true, ...options },
      marks: [
        ...(stages.length > 1 ? stageMarks : []),
        curve(steps, colors.training, 1.5),
        ...(evaluations.length > 0
          ? [
              curve(evaluations, colors.validation, 2),
              Plot.dot(evaluations, { x: "step", y, fill: colors.validation, r: 3 }),
            ]
          : []),
      ],
    });
  };

  const points: readonly Point[] = [...steps, ...evaluations];
  const upTo = (of: (point: Point) => number) => ({ domain: [0, 1.05 * Math.max(...points.map(of))] });
  const numbers = points.some(({ mae }) => mae !== undefined);
  const panels = [
    panelOf(
      "loss",
      numbers ? "loss (mean squared error)" : "loss (nats)",
      upTo(({ loss }) => loss),
    ),
    numbers
      ? panelOf(
          "mae",
          "mean absolute error",
          upTo(({ mae = 0 }) => mae),
        )
      : panelOf("accuracy", "accuracy (%)", {
          domain: [0, 100],
          transform: (accuracy: number) => 100 * accuracy,
        }),
  ];
  const { training, validation } = colors;
  return page(name, evaluations.length > 0 ? { training, validation } : { training }, panels);
}

/** Neighbouring steps averaged, so that at most `mostPoints` are left. */
function thinned(steps: readonly Point[]): Point[] {
  const size = Math.ceil(steps.length / mostPoints);
  const points: Point[] = [];
  for (let i = 0; i < steps.length; i += size) {
    const some = steps.slice(i, i + size);
    const mean = (of: (point: Point) => number) => some.map(of).reduce((a, b) => a + b, 0) / some.length;
    const { accuracy, mae } = some[0]; // all steps of a run have the same measures
    points.push({
      step: mean(({ step }) => step),
      loss: mean(({ loss }) => loss),
      ...(accuracy !== undefined && { accuracy: mean((point) => point.accuracy ?? NaN) }),
      ...(mae !== undefined && { mae: mean((point) => point.mae ?? NaN) }),
    });
  }
  return points;
}

/** The stages that are longer than all before them, labelled where the label before leaves room. */
function lengthenings(
  stages: readonly { step: number; length: number }[],
  last: number,
): { step: number; label: string }[] {
  let longest = 0;
  let labelledAt = -Infinity;
  return stages.flatMap(({ step, length }) => {
    if (length <= longest) return [];
    longest = length;
    const room = step - labelledAt > last / 12;
    if (room) labelledAt = step;
    return [{ step, label: room ? `length ${length}` : "" }];
  });
}
