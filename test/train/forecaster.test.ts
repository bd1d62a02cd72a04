import assert from "node:assert/strict";
import { test } from "node:test";

import { fitView, windowsOf } from "../../src/data/forecasting.ts";
import type { Series } from "../../src/data/series.ts";
import { createSequenceModel, sequenceConfig } from "../../src/models/catalog.ts";
import { Forecaster, ForecastStream, scoreForecasts } from "../../src/train/forecaster.ts";
import { ForecastScorer } from "../../src/train/forecastScore.ts";
import { fitLinearForecast } from "../../src/train/linearForecast.ts";
import { exactDevice } from "../gradcheck.ts";

const device = exactDevice();
const parts = { train: 40, validation: 8, test: 12 };
const settings = {
  targets: ["y", "z"],
  inputs: ["x"],
  context: 8,
  horizon: 3,
  normalization: "mean",
} as const;
const season = 6;
/** Two seasonal series and an input with gaps. */
const series: Series = {
  file: "a.csv",
  names: ["x", "y", "z"],
  rows: 60,
  columns: [
    Float64Array.from({ length: 60 }, (_, t) => (t % 7 === 3 ? NaN : Math.cos(t))),
    Float64Array.from({ length: 60 }, (_, t) => 100 + 10 * Math.sin((2 * Math.PI * t) / season)),
    Float64Array.from({ length: 60 }, (_, t) => -3 + (t % season)),
  ],
};
const view = fitView(series, parts.train, settings);
const windows = windowsOf(series, parts, view);
const sizes = { dModel: 4, layers: 1, dState: 4, inputs: 3, outputs: 3, readout: "each" };
const model = createSequenceModel(device, sequenceConfig("mamba", sizes), 1);

test("a stream that has read the rows of a window forecasts what the window does", async () => {
  const forecaster = new Forecaster(model, windows, 4);
  const stream = new ForecastStream(model, view);
  const [x, y, z] = series.columns;
  let last: Float64Array[] = [];
  for (let t = 10; t < 18; t++) last = await stream.next({ x: x[t], y: y[t], z: z[t] });
  const whole = await forecaster.forecast([0, 1].map((target) => ({ target, origin: 18 })));
  assert.equal(last.length, 2);
  for (const [i, forecast] of whole.entries()) {
    for (const [h, value] of forecast.entries()) assert.ok(Math.abs(last[i][h] - value) < 1e-5, `${i}, ${h}`); // inputs are f32
  }
  forecaster.free();
  stream.free();
});

test("a forecast is the same in a batch of any size", async () => {
  const [one, four] = [1, 4].map((batch) => new Forecaster(model, windows, batch));
  const pick = { target: 1, origin: 50 };
  const [alone] = await one.forecast([pick]);
  const [, , together] = await four.forecast([{ target: 0, origin: 49 }, { target: 0, origin: 9 }, pick]);
  assert.deepEqual(together, alone);
  one.free();
  four.free();
});

test("scores are standardised over all targets, and each target's in its own units: a case by hand", () => {
  const scorer = new ForecastScorer(windows, 1);
  const [, y, z] = series.columns;
  scorer.add(0, 50, [y[50] + 1, y[51], y[52]]);
  scorer.add(1, 50, [z[50] - 2, z[51] - 2, z[52] - 2]);
  const { mse, mae, targets } = scorer.score();
  assert.ok(Math.abs(targets.y.mae - 1 / 3) < 1e-9);
  assert.ok(Math.abs(targets.z.rmse - 2) < 1e-9);
  const [dy, dz] = [view.scaling.y.deviation, view.scaling.z.deviation];
  assert.ok(Math.abs(mae - (1 / dy + 6 / dz) / 6) < 1e-9);
  assert.ok(Math.abs(mse - (1 / dy ** 2 + 12 / dz ** 2) / 6) < 1e-9);
  const steps = [...z.subarray(1, 40)].map((value, t) => Math.abs(value - z[t]));
  assert.ok(Math.abs(targets.z.mase - 2 / (steps.reduce((a, b) => a + b) / steps.length)) < 1e-9);
});

test("every way to forecast is scored on every origin of the test part", async () => {
  let last = [0, 0];
  const scores = await scoreForecasts(model, windows, "test", {
    batch: 4,
    season,
    seed: 0,
    progress: (done, of) => void (last = [done, of]),
  });
  assert.deepEqual([...scores.keys()], ["model", "linear", "seasonal naive", "naive"]);
  assert.deepEqual(last, [20, 20]);
  for (const [name, { targets }] of scores) assert.equal(targets.y.count, 30, name);
  assert.ok((scores.get("seasonal naive")?.mse ?? 1) < 1e-20, "the series are seasonal");
  assert.ok((scores.get("naive")?.mse ?? 0) > 0.1);
});

test("the linear model learns what is linear in the context", () => {
  // y_t = 2 cos(θ) y_(t−1) − y_(t−2) is what a sine does, whatever its phase.
  const own = fitView(series, parts.train, {
    ...settings,
    targets: ["y"],
    inputs: [],
    normalization: "none",
  });
  const sine = windowsOf(series, parts, own);
  const linear = fitLinearForecast(sine, 0);
  const { inputs, targets } = sine.batch([{ target: 0, origin: 48 }], 8, 1);
  const said = linear?.(inputs, 1) ?? [];
  for (const [h, value] of targets.entries())
    assert.ok(Math.abs(said[h] - value) < 0.05, `${said[h]}, ${value}`); // λ costs a little
});

test("no linear model is fitted to windows of more than a thousand numbers", () => {
  const long: Series = {
    ...series,
    rows: 3000,
    columns: series.columns.map(() => new Float64Array(3000).fill(1)),
  };
  const wide = { train: 2000, validation: 500, test: 500 };
  const view = fitView(long, wide.train, { ...settings, context: 600 });
  assert.equal(fitLinearForecast(windowsOf(long, wide, view), 0), null);
});
