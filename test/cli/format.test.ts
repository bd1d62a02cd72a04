import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../src/cli/format.ts";

test("large numbers are in groups of three", () => {
  assert.deepEqual([0, 999, 1000, 1048576].map(format.count), ["0", "999", "1 000", "1 048 576"]);
  assert.equal(format.counted(1, "step"), "1 step");
  assert.equal(format.counted(2000, "step"), "2 000 steps");
  assert.deepEqual([812, 9999, 178_345, 12_345_678].map(format.thousands), ["812", "9 999", "178k", "12.3M"]);
});

test("100 % is said of everything only, and 0 % of nothing", () => {
  assert.deepEqual([1, 0, 0.5, 0.99999, 0.9987].map(format.percent), [
    "100 %",
    "0 %",
    "50.0 %",
    "99.9 %",
    "99.9 %",
  ]);
  assert.equal(format.percent(0.00001), "0.1 %");
});

test("sizes are in the unit that keeps them short", () => {
  const sizes = [0, 1023, 1024, 13_107_200, 3 * 2 ** 30];
  assert.deepEqual(sizes.map(format.bytes), ["0 B", "1023 B", "1.0 KiB", "12.5 MiB", "3.0 GiB"]);
});

test("the parts of a memory plan are in the unit of the total", () => {
  const plan = {
    parameters: 2 ** 20,
    gradients: 2 ** 20,
    optimizer: 2 ** 21,
    activations: 2 ** 23,
    total: 12 * 2 ** 20,
  };
  assert.equal(
    format.memoryInWords(plan),
    "12.0 MiB = parameters 1.0 + gradients 1.0 + optimizer 2.0 + activations 8.0",
  );
});

test("times are in seconds, minutes or hours", () => {
  const times = [0.04, 9.9, 9.96, 59.4, 59.6, 151, 3751];
  const words = ["0.0 s", "9.9 s", "10 s", "59 s", "1:00 min", "2:31 min", "1:02:31 h"];
  assert.deepEqual(times.map(format.duration), words);
});

test("losses have three digits that mean something", () => {
  const losses = [2.7726, 0.0021345, 0, 123.456, 1.2e-7, NaN];
  assert.deepEqual(losses.map(format.short), ["2.77", "0.00213", "0", "123", "1.2e-7", "NaN"]);
});

test("columns are as wide as their widest cell, numbers to the right", () => {
  const rows = [
    ["name", "n"],
    ["a", "1 000"],
    ["longer", "5"],
  ];
  assert.deepEqual(format.columns(rows, [1]), ["name        n", "a       1 000", "longer      5"]);
});
