import type { Windows } from "../data/forecasting.ts";
import { ErrorSum, type ForecastErrors, naiveScale } from "../math/forecastErrors.ts";

/** How good forecasts were. */
export interface ForecastScore {
  /** Over all targets, in standardised units: what papers report. */
  readonly mse: number;
  readonly mae: number;
  /** The mean over the targets. */
  readonly mase: number;
  /** Of each target, in the units of the file. */
  readonly targets: Readonly<Record<string, ForecastErrors & { readonly mase: number }>>;
}

/** Adds up the errors of many forecasts. */
export class ForecastScorer {
  readonly #windows: Windows;
  readonly #season: number;
  readonly #standardised = new ErrorSum();
  readonly #own: readonly ErrorSum[];

  /** @param season rows of a season, for MASE; 1 for none. */
  constructor(windows: Windows, season: number) {
    this.#windows = windows;
    this.#season = season;
    this.#own = windows.view.targets.map(() => new ErrorSum());
  }

  /** A forecast of a target from row `origin` on, in the units of the file. */
  add(target: number, origin: number, forecast: ArrayLike<number>): void {
    const { view } = this.#windows;
    const { deviation } = view.scaling[view.targets[target]];
    const truth = this.#column(target);
    for (let h = 0; h < forecast.length; h++) {
      this.#own[target].add(truth[origin + h], forecast[h]);
      this.#standardised.add(truth[origin + h] / deviation, forecast[h] / deviation);
    }
  }

  score(): ForecastScore {
    const { view, parts } = this.#windows;
    const { mse, mae } = this.#standardised.errors();
    const entries = view.targets.map((name, i) => {
      const errors = this.#own[i].errors();
      return [
        name,
        { ...errors, mase: errors.mae / naiveScale(this.#column(i), this.#season, parts.train) },
      ] as const;
    });
    const mase = entries.reduce((sum, [, errors]) => sum + errors.mase / entries.length, 0);
    return { mse, mae, mase, targets: Object.fromEntries(entries) };
  }

  #column(target: number): Float64Array {
    const { series, view } = this.#windows;
    return series.columns[series.names.indexOf(view.targets[target])];
  }
}
