/**
 * How far forecasts are from what came, over all values that were measured (NaN in `truth` was not):
 *
 *   MSE = mean (y − ŷ)²      RMSE = √MSE      MAE = mean |y − ŷ|
 *
 * and the mean absolute scaled error (Hyndman & Koehler 2006, "Another look at measures of forecast accuracy"),
 * MASE = MAE / `naiveScale` of the training part: below 1 is better than going on as a season before.
 */
export interface ForecastErrors {
  readonly mse: number;
  readonly rmse: number;
  readonly mae: number;
  /** How many values were measured. */
  readonly count: number;
}

/** Sums of errors, to be added up over many forecasts. */
export class ErrorSum {
  #count = 0;
  #absolute = 0;
  #squares = 0;

  /** Counts a forecast ŷ of y, unless y is NaN. */
  add(truth: number, forecast: number): void {
    if (Number.isNaN(truth)) return;
    this.#count++;
    this.#absolute += Math.abs(truth - forecast);
    this.#squares += (truth - forecast) ** 2;
  }

  /** The means so far; NaN when nothing was measured. */
  errors(): ForecastErrors {
    const mse = this.#squares / this.#count;
    return { mse, rmse: Math.sqrt(mse), mae: this.#absolute / this.#count, count: this.#count };
  }
}

/**
 * What MASE divides by: mean |y_t − y_(t−season)| over the rows before `end` where both were measured; NaN when there
 * are none. `season` is 1 for a series without one.
 */
export function naiveScale(y: Float64Array, season: number, end: number): number {
  const sum = new ErrorSum();
  for (let t = season; t < end; t++) {
    if (!Number.isNaN(y[t - season])) sum.add(y[t], y[t - season]);
  }
  return sum.errors().mae;
}

/**
 * The seasonal naive forecast of the `horizon` values from row `at` on: what was last measured at the same place of the
 * season, ŷ_(at+h) = y_(at+h−k season) for the smallest k that lies before `at` and was measured. With season 1 it is
 * the naive forecast, the last value. NaN where there is none.
 */
export function seasonalNaive(y: Float64Array, at: number, horizon: number, season: number): Float64Array {
  return Float64Array.from({ length: horizon }, (_, h) => {
    let t = at + h - season * (Math.floor(h / season) + 1);
    while (t >= 0 && Number.isNaN(y[t])) t -= season;
    return t >= 0 ? y[t] : NaN;
  });
}
