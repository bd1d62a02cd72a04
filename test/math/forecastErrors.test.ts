import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { ErrorSum, naiveScale, seasonalNaive } from "../../src/math/forecastErrors.ts";

test("errors are means over what was measured: a case by hand", () => {
  const sum = new ErrorSum();
  for (const [truth, forecast] of [
    [1, 2],
    [NaN, 100],
    [5, 2],
  ])
    sum.add(truth, forecast);
  assert.deepEqual(sum.errors(), { mse: 5, rmse: Math.sqrt(5), mae: 2, count: 2 });
  assert.ok(Number.isNaN(new ErrorSum().errors().mse));
});

test("the scale of MASE is the mean step of the training part, over one season", () => {
  const y = Float64Array.of(1, 2, 4, 7, NaN, 100);
  assert.equal(naiveScale(y, 1, 4), 2); // 1, 2, 3
  assert.equal(naiveScale(y, 2, 4), 4); // 3, 5
  assert.equal(naiveScale(y, 1, 6), 2); // a step from or to a gap does not count
  assert.ok(Number.isNaN(naiveScale(y, 4, 4)));
});

test("the naive forecast repeats the last value, the seasonal one the last season; gaps are looked past", () => {
  const y = Float64Array.of(1, 2, 3, 4, 5, NaN, 99);
  assert.deepEqual([...seasonalNaive(y, 5, 3, 1)], [5, 5, 5]);
  assert.deepEqual([...seasonalNaive(y, 6, 3, 1)], [5, 5, 5]);
  assert.deepEqual([...seasonalNaive(y, 5, 5, 2)], [4, 5, 4, 5, 4]);
  assert.deepEqual([...seasonalNaive(y, 6, 3, 3)], [4, 5, 3]);
  assert.deepEqual([...seasonalNaive(y, 1, 2, 3)], [NaN, NaN]);
});

test("a forecast never looks at the rows it is about, and a seasonal series is forecast without error", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 20 }),
      (season, horizon, more) => {
        const at = season + more;
        const y = Float64Array.from({ length: at + horizon }, (_, t) => (t % season) ** 2);
        const forecast = seasonalNaive(y, at, horizon, season);
        assert.deepEqual([...forecast], [...y.subarray(at)]);
        assert.deepEqual([...seasonalNaive(y.subarray(0, at), at, horizon, season)], [...forecast]);
      },
    ),
  );
});
