import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("the README's program is the example that is run", () => {
  assert.ok(readFileSync("README.md", "utf8").includes(readFileSync("examples/first.ts", "utf8")));
});
