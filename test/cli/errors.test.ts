import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { failureOf } from "../../src/cli/errors.ts";
import {
  DeviceError,
  DivergenceError,
  FormatError,
  inductionHeads,
  ShapeError,
  UsageError,
} from "../../src/node.ts";

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return assert.fail("must throw");
}

test("what is wrong with the command line exits with 2, all else with 1", () => {
  assert.deepEqual(failureOf(new UsageError("train: no.")), { text: "train: no.", exitCode: 2 });
  for (const error of [
    new ShapeError("a: b"),
    new DeviceError("a: b"),
    new FormatError("a: b"),
    new DivergenceError("a: b"),
  ]) {
    assert.deepEqual(failureOf(error), { text: "a: b", exitCode: 1 });
  }
});

test("a RangeError of our data is an answer, one of JavaScript is our mistake", () => {
  const ours = failureOf(thrownBy(() => inductionHeads({ seed: 0 }).train(0, 1, 2)));
  assert.equal(ours.text, "induction-heads: the length must be an integer of at least 3, got 2.");
  assert.match(
    failureOf(thrownBy(() => new Uint8Array(-1))).text,
    /^internal: .*\nRangeError: Invalid typed array length: -1\n +at /,
  );
});

test("what the system refuses is said without a stack", () => {
  const { text, exitCode } = failureOf(thrownBy(() => readFileSync("/nowhere/at/all")));
  assert.deepEqual(
    { text, exitCode },
    { text: "statewise: ENOENT: no such file or directory, open '/nowhere/at/all'", exitCode: 1 },
  );
});

test("anything else is our mistake, and says where", () => {
  const { text, exitCode } = failureOf(new TypeError("x is not a function"));
  assert.equal(exitCode, 1);
  assert.match(
    text,
    /^internal: this is a mistake in statewise, please report it\.\nTypeError: x is not a function\n +at .*errors\.test/,
  );
  assert.match(failureOf(new Error("internal: free(3)")).text, /^internal: .*\nError: internal: free\(3\)\n/);
});
