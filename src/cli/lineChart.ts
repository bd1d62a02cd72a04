import * as Plot from "@observablehq/plot";
import { count, superscript } from "./format.ts";
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

/** More points than this make a curve without dots. */
const mostDots = 60;

/** As many ticks have room for their labels. */
const mostTicks = 10;

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
  "#9498a0",
];

/** Panels of lines as SVG, with a dot at each point where they are few. */
export function lineChart(title: string, panels: readonly Panel[]): string {
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  const colorOf = (name: string) => colors[names.indexOf(name) % colors.length];
  const drawn = panels.map(({ x, y, lines }) => {
    const points = lines.flatMap((line) => line.points);
    const [across, up] = [
      x.log && measured(points.map(([x]) => x)),
      y.log && decades(points.map(([, y]) => y)),
    ];
    return panel({
      x: { label: x.label, ...(across ? { type: "log", domain: across.domain } : { grid: true }) },
      y: { label: y.label, ...(up ? { type: "log", domain: up.domain } : { grid: true, zero: true }) },
      marks: [
        // Given as text: Plot leaves out labels of its own choice on logarithmic axes.
        ...(across ? [Plot.gridX(across.ticks), Plot.axisX(across.ticks, { text: tickLabel })] : []),
        ...(up ? [Plot.gridY(up.ticks), Plot.axisY(up.ticks, { text: tickLabel })] : []),
        ...lines.flatMap(({ name, points, dashed }) => [
          Plot.line(points, {
            stroke: colorOf(name),
            strokeWidth: 2,
            ...(dashed && { strokeDasharray: "5 4" }),
          }),
          ...(points.length <= mostDots ? [Plot.dot(points, { fill: colorOf(name), r: 3 })] : []),
        ]),
      ],
    });
  });
  return page(title, Object.fromEntries(names.map((name) => [name, colorOf(name)])), drawn);
}

/** What a logarithmic axis covers, and where its ticks are. */
interface Extent {
  readonly domain: readonly number[];
  readonly ticks: readonly number[];
}

/** From the least value to the greatest, with a tick at each, where they are few. */
function measured(values: readonly number[]): Extent | undefined {
  const own = [...new Set(values)].sort((a, b) => a - b);
  return own.length <= mostTicks && own.length > 1
    ? { domain: [own[0], own[own.length - 1]], ticks: own }
    : decades(values);
}

/** From one power of ten to another. */
function decades(values: readonly number[]): Extent | undefined {
  const exponents = values.filter((value) => value > 0 && value < Infinity).map(Math.log10);
  if (exponents.length === 0) return undefined;
  const first = Math.floor(Math.min(...exponents));
  const last = Math.max(Math.ceil(Math.max(...exponents)), first + 1);
  const step = Math.ceil((last - first) / mostTicks);
  const count = Math.floor((last - first) / step) + 1;
  return {
    domain: [10 ** first, 10 ** last],
    ticks: Array.from({ length: count }, (_, i) => 10 ** (first + i * step)),
  };
}

/** 0.001, 16 384, 10⁻⁶ */
function tickLabel(value: number): string {
  const exponent = Math.round(Math.log10(value));
  if (Math.abs(exponent) > 4 && Math.abs(value / 10 ** exponent - 1) < 1e-9)
    return `10${superscript(exponent)}`;
  return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(3)));
}
