import assert from "node:assert/strict";
import { test } from "node:test";
import { erfc } from "../../src/math/erf.ts";

/** Relative. Just below 2, where the series ends, 1 − erf(x) has lost three digits of sixteen. */
const TOLERANCE = 5e-13;

test("erfc has the digits of the tables in the middle and in the tail", () => {
  const table = [
    [0, 1],
    [0.5, 0.4795001221869535],
    [1, 0.15729920705028513],
    [1.999, 0.004698443348629488],
    [2, 0.004677734981047266],
    [5, 1.5374597944280347e-12],
    [10, 2.088487583762545e-45],
  ];
  for (const [x, expected] of table) {
    assert.ok(Math.abs(erfc(x) / expected - 1) < TOLERANCE, `erfc(${x}) is ${erfc(x)}, must be ${expected}`);
    assert.equal(erfc(-x), 2 - erfc(x));
  }
});

test("erfc goes to 0 and 2 at the ends and keeps NaN", () => {
  assert.deepEqual([Infinity, -Infinity, NaN].map(erfc), [0, 2, NaN]);
});
