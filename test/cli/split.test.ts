import assert from "node:assert/strict";
import { test } from "node:test";
import { partsOf, splitFlag } from "../../src/cli/split.ts";

test("a split is rows, or fractions of all rows", () => {
  assert.deepEqual(partsOf("a", "8640,2880,2880", 17420), { train: 8640, validation: 2880, test: 2880 });
  assert.deepEqual(partsOf("a", "0.7,0.1,0.2", 99), { train: 69, validation: 10, test: 20 });
  assert.deepEqual(partsOf("a", "0.5,0.25,0", 100), { train: 50, validation: 25, test: 0 });
  assert.deepEqual(partsOf("a", "1,0,0", 100), { train: 100, validation: 0, test: 0 });
});

test("no split is accepted that is not three parts of a whole", () => {
  for (const text of [
    "",
    "1",
    "0.7,0.1",
    "0.7,0.1,0.1,0.1",
    "0,0.5,0.5",
    "0.9,0.2,0",
    "-1,2,3",
    "a,b,c",
    "5,,5",
    "1e10,1,1",
  ]) {
    assert.ok(!splitFlag.accepts(text), text);
  }
});
