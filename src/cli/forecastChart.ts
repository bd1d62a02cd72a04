import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as Plot from "@observablehq/plot";
import type { Forecaster, Parts, Windows } from "../node.ts";
import { colors } from "./chart.ts";
import { page, panel } from "./page.ts";
import type { Run } from "./run.ts";

/** What is shown of a target: enough rows to see the forecasts follow, or fail to. */
export interface ForecastPanel {
  readonly target: string;
  readonly truth: readonly Point[];
  /** Forecasts, one beginning where the one before ends. */
  readonly forecasts: readonly (readonly Point[])[];
}

interface Point {
  readonly row: number;
  readonly value: number;
}

/** Targets that are drawn at the most, forecasts in each, and rows before the first of them, in horizons. */
const mostTargets = 4;
const mostForecasts = 6;
const horizonsBefore = 2;

/** Draws the last forecasts of a part beside what came, as the run's forecast.svg. */
export async function writeForecastChart(
  { name, directory }: Run,
  windows: Windows,
  part: keyof Parts,
  forecaster: Forecaster,
): Promise<void> {
  const panels = [];
  for (const target of windows.view.targets.slice(0, mostTargets).keys()) {
    panels.push(await panelOf(windows, part, forecaster, target));
  }
  await writeFile(join(directory, "forecast.svg"), forecastChartOf(name, panels));
}

async function panelOf(
  windows: Windows,
  part: keyof Parts,
  forecaster: Forecaster,
  target: number,
): Promise<ForecastPanel> {
  const { series, view } = windows;
  const { first, count } = windows.origins(part);
  const shown = Math.min(mostForecasts, Math.floor((count - 1) / view.horizon) + 1);
  const begin = first + count - 1 - (shown - 1) * view.horizon;
  const end = begin + shown * view.horizon;
  const column = series.columns[series.names.indexOf(view.targets[target])];
  const forecasts = [];
  for (let i = 0; i < shown; i++) {
    const origin = begin + i * view.horizon;
    const [values] = await forecaster.forecast([{ target, origin }]);
    forecasts.push([...values].map((value, h) => ({ row: origin + h, value })));
  }
  const from = Math.max(0, begin - horizonsBefore * view.horizon);
  const truth = [...column.subarray(from, end)].map((value, i) => ({ row: from + i, value }));
  return { target: view.targets[target], truth, forecasts };
}

/** A panel per target: what was measured, and forecasts over it. Rows count from 0, the first row of the file. */
export function forecastChartOf(name: string, panels: readonly ForecastPanel[]): string {
  const drawn = panels.map(({ target, truth, forecasts }) => {
    const lines = forecasts.flatMap((points, i) => points.map((point) => ({ ...point, i })));
    return panel({
      x: { label: "row", grid: true },
      y: { label: target, grid: true },
      marks: [
        Plot.ruleX(
          forecasts.map(([{ row }]) => ({ row })),
          { x: "row", stroke: "#999", strokeDasharray: "2 4" },
        ),
        Plot.lineY(truth, { x: "row", y: "value", stroke: colors.training, strokeWidth: 1.5 }),
        Plot.lineY(lines, { x: "row", y: "value", z: "i", stroke: colors.validation, strokeWidth: 2 }),
      ],
    });
  });
  return page(name, { measured: colors.training, forecast: colors.validation }, drawn);
}
