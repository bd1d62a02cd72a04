import { Feed, type Parts, type View, type Windows } from "../data/forecasting.ts";
import { seasonalNaive } from "../math/forecastErrors.ts";
import { carryState, type NamedTensors } from "../models/layers.ts";
import type { SequenceModel } from "../models/sequenceModel.ts";
import { capture, type Program } from "../tensor/capture.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type ForecastScore, ForecastScorer } from "./forecastScore.ts";
import { fitLinearForecast, type LinearForecast } from "./linearForecast.ts";

/** A window to forecast after: which target, and the first row that is forecast. */
export interface Pick {
  readonly target: number;
  readonly origin: number;
}

/** A model that forecasts what comes after windows, `batch` at a time. */
export class Forecaster {
  readonly #windows: Windows;
  readonly #input: Tensor;
  readonly #program: Program<Tensor>;

  constructor(model: SequenceModel, windows: Windows, batch: number) {
    const { device } = model;
    this.#windows = windows;
    this.#input = device.zeros([batch, windows.view.context, new Feed(windows.view).channels]);
    this.#program = capture(device, () => model.forward(this.#input, { lastOnly: true }).y);
  }

  /** At most `batch` forecasts, each (horizon), in the units of the file. */
  async forecast(picks: readonly Pick[]): Promise<Float64Array[]> {
    const { view } = this.#windows;
    const { inputs, references } = this.#windows.batch(picks, view.context, 0);
    const padded = new Float32Array(this.#input.buffer.length);
    padded.set(inputs);
    this.#input.write(padded);
    this.#program.run();
    const said = await this.#program.result.read();
    return picks.map(({ target }, b) =>
      inUnits(view, target, said.slice(b * view.horizon, (b + 1) * view.horizon), references[b]),
    );
  }

  free(): void {
    this.#program.free();
    this.#input.free();
  }
}

/**
 * A model that forecasts after every row of a stream. The state stays on the device, and a row is one replay of one
 * program: the memory needed does not depend on how long the stream has become.
 */
export class ForecastStream {
  readonly #view: View;
  readonly #feeds: readonly Feed[];
  readonly #state: readonly NamedTensors[];
  readonly #input: Tensor;
  readonly #program: Program<Tensor>;

  constructor(model: SequenceModel, view: View) {
    const { device } = model;
    const batch = view.targets.length;
    this.#view = view;
    this.#feeds = view.targets.map(() => new Feed(view));
    this.#state = model.initialState(batch);
    this.#input = device.zeros([batch, this.#feeds[0].channels]);
    this.#program = capture(device, () => {
      const { y, state } = model.step(this.#input, this.#state);
      carryState(this.#state, state);
      return y;
    });
  }

  /**
   * Reads the next row, a value for every target and input, NaN for gaps; returns the forecast of each target from here,
   * (horizon), in the units of the file.
   */
  async next(row: Readonly<Record<string, number>>): Promise<Float64Array[]> {
    const { targets, inputs, scaling, horizon } = this.#view;
    const { channels } = this.#feeds[0];
    const written = new Float32Array(targets.length * channels);
    const scaled = (name: string) => (row[name] - scaling[name].mean) / scaling[name].deviation;
    for (const [i, name] of targets.entries()) {
      this.#feeds[i].next([scaled(name), ...inputs.map(scaled)], written, i * channels);
    }
    this.#input.write(written);
    this.#program.run();
    const said = await this.#program.result.read();
    return this.#feeds.map(({ reference }, i) =>
      inUnits(this.#view, i, said.slice(i * horizon, (i + 1) * horizon), reference),
    );
  }

  free(): void {
    this.#program.free();
    this.#input.free();
    for (const layer of this.#state) for (const tensor of Object.values(layer)) tensor.free();
  }
}

/** Ways to forecast, by their name: the model, and what it should beat. */
export type ForecastScores = ReadonlyMap<string, ForecastScore>;

export interface ScoreOptions {
  readonly batch: number;
  /** Rows of a season; 1 for none. */
  readonly season: number;
  readonly seed: number;
  /** Called with the windows done and all there are, and waited for: throwing from it ends the scoring. */
  readonly progress?: (done: number, of: number) => void | Promise<void>;
}

/**
 * Forecasts from every origin of a part: by the "model", by the last value ("naive"), by the last season ("seasonal
 * naive", where there is a season), and by a "linear" model of the context, where one can be fitted.
 */
export async function scoreForecasts(
  model: SequenceModel,
  windows: Windows,
  part: keyof Parts,
  { batch, season, seed, progress }: ScoreOptions,
): Promise<ForecastScores> {
  const { series, view } = windows;
  const { first, count } = windows.origins(part);
  const picks = view.targets.flatMap((_, target) =>
    Array.from({ length: count }, (_, i): Pick => ({ target, origin: first + i })),
  );
  const linear = fitLinearForecast(windows, seed);
  const names = ["model", ...(linear ? ["linear"] : []), ...(season > 1 ? ["seasonal naive"] : []), "naive"];
  const scorers = new Map(names.map((name) => [name, new ForecastScorer(windows, season)]));
  const forecaster = new Forecaster(model, windows, batch);
  try {
    for (let start = 0; start < picks.length; start += batch) {
      const some = picks.slice(start, start + batch);
      const own = await forecaster.forecast(some);
      const lines = linear && linearly(linear, windows, some);
      for (const [i, { target, origin }] of some.entries()) {
        const column = series.columns[series.names.indexOf(view.targets[target])];
        const repeated = (season: number) => seasonalNaive(column, origin, view.horizon, season);
        scorers.get("model")?.add(target, origin, own[i]);
        if (lines) scorers.get("linear")?.add(target, origin, lines[i]);
        scorers.get("seasonal naive")?.add(target, origin, repeated(season));
        scorers.get("naive")?.add(target, origin, repeated(1));
      }
      await progress?.(start + some.length, picks.length);
    }
  } finally {
    forecaster.free();
  }
  return new Map([...scorers].map(([name, scorer]) => [name, scorer.score()]));
}

/** Forecasts of a linear model, in the units of the file. */
function linearly(linear: LinearForecast, windows: Windows, picks: readonly Pick[]): Float64Array[] {
  const { view } = windows;
  const { inputs, references } = windows.batch(picks, view.context, 0);
  const said = linear(inputs, picks.length);
  return picks.map(({ target }, b) =>
    inUnits(view, target, said.subarray(b * view.horizon, (b + 1) * view.horizon), references[b]),
  );
}

function inUnits(view: View, target: number, said: ArrayLike<number>, reference: number): Float64Array {
  const { mean, deviation } = view.scaling[view.targets[target]];
  return Float64Array.from(said, (value) => (value + reference) * deviation + mean);
}
