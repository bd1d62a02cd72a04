import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import {
  Feed,
  fitView,
  forecastTask,
  normalizations,
  type Parts,
  windowsOf,
} from "../../src/data/forecasting.ts";
import type { Series } from "../../src/data/series.ts";

/** A series whose columns are these. */
const seriesOf = (columns: Readonly<Record<string, readonly number[]>>): Series => ({
  file: "a.csv",
  names: Object.keys(columns),
  rows: Object.values(columns)[0].length,
  columns: Object.values(columns).map((values) => Float64Array.from(values)),
});
const ramp = (rows: number) => Array.from({ length: rows }, (_, t) => t);
const parts: Parts = { train: 20, validation: 6, test: 8 };
const plain = { targets: ["y"], inputs: [], context: 4, horizon: 3, normalization: "none" } as const;

test("a window ends where its forecast begins, and every asked row is followed by its own horizon", () => {
  const series = seriesOf({ y: ramp(34) });
  const view = fitView(series, parts.train, plain);
  const windows = windowsOf(series, parts, view);
  const { mean, deviation } = view.scaling.y;
  const raw = (values: Float32Array) => [...values].map((value) => Math.round(value * deviation + mean));
  const batch = windows.batch([{ target: 0, origin: 10 }], 4, 2);
  assert.deepEqual(raw(batch.inputs), [6, 7, 8, 9]);
  assert.deepEqual(raw(batch.targets), [9, 10, 11, 10, 11, 12]);
  assert.deepEqual([batch.channels, batch.outputs, batch.asked], [1, 3, 2]);
});

test("the origins of a part are those whose horizon lies in it, and whose context lies before", () => {
  const series = seriesOf({ y: ramp(34) });
  const windows = windowsOf(series, parts, fitView(series, parts.train, plain));
  assert.deepEqual(windows.origins("train"), { first: 4, count: 14 });
  assert.deepEqual(windows.origins("validation"), { first: 20, count: 4 });
  assert.deepEqual(windows.origins("test"), { first: 26, count: 6 });
});

test("nothing after the training part changes what is trained on", () => {
  const rows = ramp(34);
  const changed = rows.map((value, t) => (t < parts.train ? value : 1000 - 7 * value));
  const batches = [rows, changed].map((y) => {
    const series = seriesOf({ y });
    return forecastTask(windowsOf(series, parts, fitView(series, parts.train, plain)), 1).train(3, 16, 4);
  });
  assert.deepEqual(batches[0], batches[1]);
});

test("a forecast relative to last value or running mean does not see a shift of the series", () => {
  for (const normalization of ["last", "mean"] as const) {
    const [one, shifted] = [0, 1000].map((shift) => {
      const series = seriesOf({ y: ramp(34).map((t) => 3 * Math.sin(t) + shift) });
      const view = fitView(seriesOf({ y: ramp(34).map((t) => 3 * Math.sin(t)) }), parts.train, {
        ...plain,
        normalization,
      });
      return windowsOf(series, parts, view).batch([{ target: 0, origin: 22 }], 4, 4);
    });
    for (const name of ["inputs", "targets"] as const) {
      for (const [i, value] of one[name].entries()) assert.ok(Math.abs(shifted[name][i] - value) < 1e-4);
    }
    assert.ok(shifted.references[0] - one.references[0] > 100);
  }
});

test("answers are relative to the last value, the mean so far, or nothing", () => {
  const series = seriesOf({ y: [1, 2, 6, 4, 7, 9, ...ramp(28)] });
  const scaling = { y: { mean: 0, deviation: 1 } };
  const batchOf = (normalization: (typeof normalizations)[number]) =>
    windowsOf(series, parts, { ...plain, normalization, scaling, gaps: [] }).batch(
      [{ target: 0, origin: 3 }],
      3,
      1,
    );
  assert.deepEqual([...batchOf("none").inputs], [1, 2, 6]);
  assert.deepEqual([...batchOf("none").targets], [4, 7, 9]);
  assert.deepEqual([...batchOf("last").inputs], [0, 0.5, 3]);
  assert.deepEqual([...batchOf("last").targets], [-2, 1, 3]);
  assert.deepEqual([...batchOf("mean").inputs], [0, 0.5, 3]);
  assert.deepEqual([...batchOf("mean").targets], [1, 4, 6]);
  assert.deepEqual([...batchOf("mean").references], [3]);
});

test("a gap is the last value before it with mask 0, the mean before there is one, and no target", () => {
  const y = [NaN, 2, NaN, 4, ...ramp(30)];
  const x = ramp(34);
  const view = {
    ...plain,
    inputs: ["x"],
    scaling: { y: { mean: 10, deviation: 2 }, x: { mean: 0, deviation: 1 } },
    gaps: ["y"],
  };
  const { channels, inputs, targets } = windowsOf(seriesOf({ y, x }), parts, view).batch(
    [{ target: 0, origin: 4 }],
    4,
    4,
  );
  assert.equal(channels, 3);
  assert.deepEqual([...inputs], [0, 0, 0, -4, 1, 1, -4, 0, 2, -3, 1, 3]);
  assert.deepEqual([...targets.subarray(0, 3)], [-4, NaN, -3]);
});

test("masks and scaling are those of the training part", () => {
  const gap = ramp(34).map((t) => (t === 25 ? NaN : t));
  const early = ramp(34).map((t) => (t === 5 ? NaN : t));
  const view = fitView(seriesOf({ gap, early }), parts.train, {
    ...plain,
    targets: ["gap"],
    inputs: ["early"],
  });
  assert.deepEqual(view.gaps, ["early"]);
  assert.equal(view.scaling.gap.mean, 9.5);
});

test("what a stream sees of its first rows is what a window of them shows", () => {
  const value = fc.oneof(fc.double({ min: -5, max: 5, noNaN: true }), fc.constant(NaN));
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 34, maxLength: 34 }),
      fc.constantFrom(...normalizations),
      (y, normalization) => {
        const series = seriesOf({ y, x: y.toReversed() });
        const view = fitView(series, parts.train, { ...plain, inputs: ["x"], normalization });
        const { channels, inputs, references } = windowsOf(series, parts, view).batch(
          [{ target: 0, origin: 9 }],
          9,
          1,
        );
        const feed = new Feed(view);
        const out = new Float32Array(channels);
        const scaled = (name: string, raw: number) =>
          (raw - view.scaling[name].mean) / view.scaling[name].deviation;
        for (let t = 0; t < 9; t++) {
          feed.next([scaled("y", y[t]), scaled("x", y[33 - t])], out, 0);
          assert.deepEqual(out, inputs.subarray(t * channels, (t + 1) * channels));
        }
        assert.equal(feed.reference, references[0]);
      },
    ),
  );
});

test("a context or a horizon longer than its part is refused, with the rows it needs", () => {
  const series = seriesOf({ y: ramp(34) });
  const refused = (more: { context?: number; horizon?: number }, message: string) => {
    const view = fitView(series, parts.train, { ...plain, ...more });
    assert.throws(() => windowsOf(series, parts, view), { name: "FormatError", message });
  };
  refused(
    { context: 18 },
    "a.csv: the train part must have at least 21 rows (context 18 + horizon 3), got 20 of 34. " +
      "Choose a shorter context or horizon, or another split.",
  );
  refused(
    { horizon: 7 },
    "a.csv: the validation part must have at least 7 rows (horizon 7), got 6 of 34. " +
      "Choose a shorter horizon, or another split.",
  );
  const task = forecastTask(windowsOf(series, parts, fitView(series, parts.train, plain)), 0);
  assert.throws(() => task.train(0, 1, 5), {
    name: "RangeError",
    message: "forecast: the length must be the context, 4, got 5.",
  });
});
