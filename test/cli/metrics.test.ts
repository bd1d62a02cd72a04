import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openMetrics, readMetrics } from "../../src/cli/metrics.ts";
import { temporaryFolder } from "./cli.ts";

const line = (step: number) => ({ type: "evaluation", step, loss: 1 / step, accuracy: 0 }) as const;

test("a resumed run has one line a step: what lies after its checkpoint is dropped", async (t) => {
  const path = join(temporaryFolder(t), "metrics.jsonl");
  const first = await openMetrics(path, 0);
  for (const step of [1, 2, 3, 4]) first.append(line(step));
  first.close();
  const second = await openMetrics(path, 2);
  for (const step of [3, 4, 5]) second.append(line(step));
  second.flush();
  second.close();
  assert.deepEqual(await readMetrics(path), [1, 2, 3, 4, 5].map(line));
});

test("a run that begins anew begins with an empty file", async (t) => {
  const path = join(temporaryFolder(t), "metrics.jsonl");
  writeFileSync(path, `${JSON.stringify(line(1))}\n`);
  (await openMetrics(path, 0)).close();
  assert.equal(readFileSync(path, "utf8"), "");
});

test("a line that a kill cut short is dropped", async (t) => {
  const path = join(temporaryFolder(t), "metrics.jsonl");
  writeFileSync(path, `${JSON.stringify(line(1))}\n{"type":"evaluation","st`);
  assert.deepEqual(await readMetrics(path), [line(1)]);
  const file = await openMetrics(path, 1);
  file.append(line(2));
  file.close();
  assert.equal(readFileSync(path, "utf8"), `${JSON.stringify(line(1))}\n${JSON.stringify(line(2))}\n`);
});

test("each line is in the file as soon as it is appended, for those who watch", async (t) => {
  const path = join(temporaryFolder(t), "metrics.jsonl");
  const file = await openMetrics(path, 0);
  file.append(line(1));
  assert.deepEqual(await readMetrics(path), [line(1)]);
  file.close();
});

test("no file has no metrics", async (t) => {
  assert.deepEqual(await readMetrics(join(temporaryFolder(t), "none.jsonl")), []);
});
