import * as Plot from "@observablehq/plot";
import { page, panel } from "./page.ts";

export interface Axis {
  /** With the unit, if there is one. */
  readonly label: string;
  /** Equal distances are equal factors. */
  readonly log?: boolean;
}

/** Lines of the same name have the same colour in all panels. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** For what was not measured here: the paper's figures. */
  readonly dashed?: boolean;
}

export interface Panel {
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

/** The categorical colours of Observable. */
const colors = [
  "#4269d0",
  "#efb118",
  "#ff725c",
  "#6cc5b0",
  "#3ca951",
  "#ff8ab7",
  "#a463f2",
  "#97bbf5",
  "#9c6b4e",
];

/** Panels of lines with a dot at each point, as SVG. */
export function lineChart(title: string, panels: readonly Panel[]): string {
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  const colorOf = (name: string) => colors[names.indexOf(name) % colors.length];
  const drawn = panels.map(({ x, y, lines }) =>
    panel({
      x: { label: x.label, grid: true, ...(x.log && { type: "log" }) },
      y: { label: y.label, grid: true, ...(y.log ? { type: "log" } : { zero: true }) },
      marks: lines.flatMap(({ name, points, dashed }) => [
        Plot.line(points, {
          stroke: colorOf(name),
          strokeWidth: 2,
          ...(dashed && { strokeDasharray: "5 4" }),
        }),
        Plot.dot(points, { fill: colorOf(name), r: 3 }),
      ]),
    }),
  );
  return page(title, Object.fromEntries(names.map((name) => [name, colorOf(name)])), drawn);
}
