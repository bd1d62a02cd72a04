import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { fitScaling, readSeries } from "../../src/data/series.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = "date,a,b\nmonday,1,10\ntuesday,,20\nwednesday,3,NA\n";

test("the columns that are asked for are read, gaps as NaN", () => {
  const { file, names, rows, columns } = readSeries("a.csv", bytes(text), ["b", "a"]);
  assert.deepEqual({ file, names, rows }, { file: "a.csv", names: ["b", "a"], rows: 3 });
  assert.deepEqual(
    columns.map((column) => [...column]),
    [
      [10, 20, NaN],
      [1, NaN, 3],
    ],
  );
});

test("all takes the columns that begin with a number", () => {
  assert.deepEqual(readSeries("a.csv", bytes(text), "all").names, ["a", "b"]);
});

test("a column that is text, missing, or without any number is refused", () => {
  const refused = (content: string, wanted: string[] | "all", message: string) =>
    assert.throws(() => readSeries("a.csv", bytes(content), wanted), { name: "FormatError", message });
  refused(
    text,
    ["date"],
    'a.csv: row 2, column "date": must be a number, got "monday". ' +
      "Choose other columns, or leave the cell empty where nothing was measured.",
  );
  refused(text, ["c"], 'a.csv: has no column "c". There are: "date", "a", "b".');
  refused("a,b\n1,\n2,\n", ["b"], 'a.csv: column "b" has no numbers at all. Choose another.');
  refused("a\nx\n", "all", "a.csv: no column begins with a number. Is it a series?");
});

test("scaling is that of the measured rows before the end, whatever comes after", () => {
  const { mean, deviation } = fitScaling(Float64Array.of(1, NaN, 3, 100), 3);
  assert.deepEqual({ mean, deviation }, { mean: 2, deviation: 1 });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 2, maxLength: 40 }),
      fc.integer({ min: -1e6, max: 1e6 }),
      (noise, level) => {
        const column = Float64Array.from(noise, (value) => value + level);
        const scaling = fitScaling(column, column.length);
        const scaled = column.map((value) => (value - scaling.mean) / scaling.deviation);
        const refitted = fitScaling(scaled, scaled.length);
        assert.ok(Math.abs(refitted.mean) < 1e-6); // a level of 10⁶ has 10 digits left
        assert.ok(scaling.deviation === 1 || Math.abs(refitted.deviation - 1) < 1e-6);
      },
    ),
  );
});

test("a column that does not vary, or was not measured, is centred and not divided by nothing", () => {
  assert.deepEqual(fitScaling(Float64Array.of(0.1, 0.1, 0.1), 3).deviation, 1);
  assert.deepEqual(fitScaling(Float64Array.of(NaN, NaN, 5), 2), { mean: 0, deviation: 1 });
});
