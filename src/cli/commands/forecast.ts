import { createInterface } from "node:readline";
import {
  columnOf,
  csvLines,
  type Device,
  FormatError,
  ForecastStream,
  mostCsvBytes,
  numberIn,
  readSeries,
  UsageError,
  type View,
} from "../../node.ts";
import { defineCommand } from "../command.ts";
import { readDataFile } from "../dataFile.ts";
import { withDevice } from "../device.ts";
import { deviceFlags, followFlags, outputFlags, seriesFlags, sourceFlags } from "../flags.ts";
import { columns } from "../format.ts";
import { expectSequenceModel } from "../model.ts";
import { type FoundRun, findRun } from "../run.ts";
import { type ModelPlace, placeOfRun } from "../source.ts";
import type { Terminal } from "../terminal.ts";

const speaker = "forecast";

export const forecast = defineCommand({
  name: "forecast",
  doc: "Says what comes after the rows of a CSV file, by a model of `train forecast`.",
  details:
    "With --follow, rows come on standard input, the first of them naming the columns, and each is answered at once by\n" +
    "a line: the forecasts of all targets as CSV, or an object with --json. The state carries on from row to row, so\n" +
    "memory and time per row stay the same. With --csv beside it, the rows of the file come first, unanswered.",
  flags: { ...sourceFlags, ...seriesFlags, ...followFlags, ...deviceFlags, ...outputFlags },
  async run({ values, terminal }) {
    const { run: name, csv, follow } = values;
    if (name === undefined) throw new UsageError(`${speaker}: --run is missing: which run?`);
    if (csv === undefined && !follow) {
      throw new UsageError(`${speaker}: --csv is missing: what should the forecast go on from?`);
    }
    const run = await findRun(speaker, { ...values, run: name });
    const view = viewOf(run);
    const rows = csv === undefined ? null : await lastRows(csv, view);
    const place = await placeOfRun(speaker, run);
    return withDevice(values, async (device) => {
      const stream = await streamOf(place, device, view, terminal);
      let last: Float64Array[] = [];
      for (const row of rows?.rows ?? []) last = await stream.next(row);
      if (follow) await answerRows(stream, view, terminal);
      else sayForecast(view, rows?.count ?? 0, last, terminal);
      stream.free();
      return 0;
    });
  },
});

type Row = Readonly<Record<string, number>>;

function viewOf({ directory, config }: FoundRun): View {
  if (config.view) return config.view;
  const { command } = config;
  throw new UsageError(
    command === "train forecast"
      ? `${speaker}: ${directory}/config.json has lost how the model sees the series. Train anew under another name.`
      : `${speaker}: ${directory} is a run of "${command}". Take one of "train forecast".`,
  );
}

async function streamOf(
  place: ModelPlace,
  device: Device,
  view: View,
  terminal: Terminal,
): Promise<ForecastStream> {
  const model = expectSequenceModel(speaker, place.path, await place.load(device, terminal));
  return new ForecastStream(model, view);
}

/** As many rows of the file as the model was trained to read, its last ones. */
async function lastRows(csv: string, view: View): Promise<{ rows: Row[]; count: number }> {
  const { targets, inputs, context } = view;
  const { bytes } = await readDataFile(speaker, "--csv", csv, mostCsvBytes);
  const series = readSeries(csv, bytes, [...new Set([...targets, ...inputs])]);
  if (series.rows < context) {
    throw new FormatError(
      `${csv}: must have at least ${context} rows, the context of the model, got ${series.rows}. Add earlier rows.`,
    );
  }
  const rows = Array.from({ length: context }, (_, i) => {
    const at = series.rows - context + i;
    return Object.fromEntries(series.names.map((name, column) => [name, series.columns[column][at]]));
  });
  return { rows, count: series.rows };
}

function sayForecast(
  { targets, horizon }: View,
  rows: number,
  forecasts: readonly Float64Array[],
  terminal: Terminal,
): void {
  const named = Object.fromEntries(targets.map((target, i) => [target, [...forecasts[i]]]));
  terminal.emit({ type: "forecast", after: rows, horizon, forecast: named });
  const table = Array.from({ length: horizon }, (_, h) => [
    `+${h + 1}`,
    ...forecasts.map((values) => inDigits(values[h])),
  ]);
  const [head, ...lines] = columns([["row", ...targets], ...table], [0, ...targets.map((_, i) => i + 1)]);
  terminal.say(terminal.colors.bold(head));
  for (const line of lines) terminal.say(line);
}

/** Answers every row of standard input as it comes. */
async function answerRows(stream: ForecastStream, view: View, terminal: Terminal): Promise<void> {
  const { targets, inputs, horizon } = view;
  const names = [...new Set([...targets, ...inputs])];
  let row: Row | null = null;
  const file = "standard input";
  const take = csvLines(file, (all) => {
    const places = names.map((name) => columnOf(file, all, name));
    const steps = Array.from({ length: horizon }, (_, h) => h + 1);
    terminal.say(targets.flatMap((target) => steps.map((h) => quoted(`${target}+${h}`))).join(","));
    return (cells, number) => {
      row = Object.fromEntries(
        names.map((name, i) => [name, numberIn(file, cells[places[i]], number, name)] as const),
      );
    };
  });
  let count = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    row = null;
    take(line);
    if (row === null) continue;
    const forecasts = await stream.next(row);
    count++;
    const named = Object.fromEntries(targets.map((target, i) => [target, [...forecasts[i]]]));
    terminal.emit({ type: "forecast", after: count, horizon, forecast: named });
    terminal.say(forecasts.flatMap((values) => [...values].map(inDigits)).join(","));
  }
}

/** As many digits as a float32 has. */
function inDigits(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
