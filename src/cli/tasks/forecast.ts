import { join } from "node:path";
import {
  createSequenceModel,
  Feed,
  fitView,
  Forecaster,
  type ForecastScores,
  forecastTask,
  mostCsvBytes,
  type Parts,
  readSeries,
  regression,
  scoreForecasts,
  sequenceConfig,
  UsageError,
  type Windows,
  windowsOf,
} from "../../node.ts";
import { readDataFile } from "../dataFile.ts";
import { type Flags, withInitial } from "../flag.ts";
import { forecastFlags } from "../flags.ts";
import { columns, count, counted, duration, percent, short } from "../format.ts";
import { breathe } from "../interrupt.ts";
import { commonFlags, type Lesson, type Scoring, type Settings, type TaskKind } from "../lesson.ts";
import { expectSequenceModel } from "../model.ts";
import { writeJson } from "../run.ts";
import { partsOf } from "../split.ts";
import type { Terminal } from "../terminal.ts";

const { length: _, ...rest } = commonFlags;
const flags: Flags = rest;

export const forecastKind: TaskKind = {
  name: "forecast",
  doc: "Learns to forecast columns of a CSV file, and says how well beside naive and linear forecasts.",
  details:
    "Rows are steps of time, the earliest first. Scaling is fitted on the training part alone; gaps (empty cells, NA)\n" +
    "are filled with the last value, and columns that have them there come with a mask. The scores on the test part are\n" +
    "MSE and MAE in standardised units, MASE in steps of the (seasonal) naive forecast, and each column's own in\n" +
    "results.json; forecast.svg shows the last ones. When it is trained, `statewise forecast` goes on with a file.",
  flags: {
    ...withInitial(flags, {
      model: "s4d",
      dModel: 32,
      layers: 2,
      batch: 32,
      steps: 500,
      learningRate: 4e-3,
      warmup: 50,
      schedule: "cosine",
      weightDecay: 0.01,
      dropout: 0.2,
      beta2: 0.98,
      evaluateEvery: 100,
      evaluationBatches: 16,
    }),
    ...forecastFlags, // last: a Transformer has a --context too
  },
  async prepare(settings, speaker) {
    const windows = await readWindows(settings, speaker);
    const { source, view } = windows;
    const outputs = view.horizon;
    const inputs = new Feed(view).channels;
    if (settings.evaluateEvery > 0 && windows.parts.validation === 0) {
      throw new UsageError(`${speaker}: --split leaves no rows to validate with. Give --evaluate-every 0.`);
    }
    return {
      task: forecastTask(windows, settings.seed),
      length: view.context,
      source,
      view,
      newModel: (device) =>
        createSequenceModel(
          device,
          sequenceConfig(settings.model, { ...settings, inputs, outputs, tokens: false, readout: "each" }),
          settings.seed,
        ),
      objective: (model, where) => regression(expectSequenceModel(speaker, where, model)),
      score: (scoring) => score(scoring, windows, settings, speaker),
      next: (directory) => `statewise forecast --run ${directory} --csv ${settings.csv}`,
    } satisfies Lesson;
  },
};

/** The series that the settings name, as the model will see it. */
async function readWindows(
  settings: Settings,
  speaker: string,
): Promise<Windows & Required<Pick<Lesson, "source">>> {
  const {
    csv,
    target = [],
    inputs = [],
    context = 0,
    horizon = 0,
    split = "",
    relativeTo = "mean",
  } = settings;
  if (csv === undefined) throw new UsageError(`${speaker}: --csv is missing: which file should be learned?`);
  if (target.length === 0) {
    throw new UsageError(`${speaker}: --target is missing: which column of ${csv} should be forecast?`);
  }
  const { bytes, source } = await readDataFile(speaker, "--csv", csv, mostCsvBytes);
  const all = target.length === 1 && target[0] === "all";
  const series = readSeries(csv, bytes, all ? "all" : [...new Set([...target, ...inputs])]);
  if (all && inputs.length > 0) {
    throw new UsageError(`${speaker}: --target all leaves no --inputs. Name the targets.`);
  }
  const parts = partsOf(csv, split, series.rows);
  const targets = all ? series.names : [...new Set(target)];
  const view = fitView(series, parts.train, { targets, inputs, context, horizon, normalization: relativeTo });
  return { ...windowsOf(series, parts, view), source };
}

/** Scores the test part, or the validation part where nothing was kept to test. */
async function score(
  { run, model, batch, terminal, keep }: Scoring,
  windows: Windows,
  { season = 1, seed }: Settings,
  speaker: string,
): Promise<void> {
  const part = (["test", "validation"] as const).find((part) => windows.parts[part] > 0);
  if (!part) return terminal.say("no rows were kept to test with");
  const started = performance.now();
  const forecasting = expectSequenceModel(speaker, run.directory, model);
  const live = await terminal.liveLine();
  const progress = (done: number, of: number) => {
    live?.update(`${part}: ${percent(done / of)} of ${count(of)} windows`);
    return breathe();
  };
  const scores = await scoreForecasts(forecasting, windows, part, { batch, season, seed, progress });
  live?.clear();
  const seconds = (performance.now() - started) / 1000;
  const { context, horizon } = windows.view;
  const results = {
    part,
    rows: windows.parts[part],
    windows: windows.origins(part).count,
    context,
    horizon,
    season,
    scores: Object.fromEntries(scores),
  };
  if (keep) {
    await writeJson(run.files, `${run.name}/results.json`, results);
    const forecaster = new Forecaster(forecasting, windows, 1);
    const { writeForecastChart } = await import("../forecastChart.ts");
    await writeForecastChart(run, windows, part, forecaster);
    forecaster.free();
  }
  terminal.emit({ type: "scores", ...results });
  sayScores(terminal, windows, part, scores);
  const { targets } = windows.view;
  const files = keep
    ? `: ${join(run.directory, "results.json")}, ${join(run.directory, "forecast.svg")}`
    : "";
  terminal.say(
    `${counted(results.windows, "window")} of ${targets.length === 1 ? targets[0] : counted(targets.length, "column")}, ` +
      `in ${duration(seconds)}${files}`,
  );
}

function sayScores(terminal: Terminal, { view }: Windows, part: keyof Parts, scores: ForecastScores): void {
  const [only, ...others] = view.targets;
  const single = others.length === 0;
  const head = [
    `${part}, horizon ${view.horizon}`,
    "MSE",
    "MAE",
    "MASE",
    ...(single ? [`MAE of ${only}`, "RMSE"] : []),
  ];
  const rows = [...scores].map(([name, { mse, mae, mase, targets }]) => {
    const own = targets[only];
    return [name, mse, mae, mase, ...(single ? [own.mae, own.rmse] : [])].map((cell) =>
      typeof cell === "number" ? short(cell) : cell,
    );
  });
  const [title, ...lines] = columns([head, ...rows], [1, 2, 3, 4, 5]);
  terminal.say();
  terminal.say(terminal.colors.bold(title));
  for (const line of lines) terminal.say(line);
  terminal.say();
}
