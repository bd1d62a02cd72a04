import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { commands } from "../../src/cli/commands.ts";
import { commandsAsMarkdown } from "../../src/cli/docs.ts";

test("docs/cli.md says what the declarations say", () => {
  const written = readFileSync("docs/cli.md", "utf8");
  assert.equal(written, commandsAsMarkdown(commands), "stale: run `node dist/scripts/docs.js`");
});
