import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings, resumedSettings, settingsOf } from "../../src/cli/settings.ts";
import { taskKindOf } from "../../src/cli/tasks.ts";

const kind = taskKindOf("train induction-heads");
const initial = settingsOf(
  kind.flags,
  Object.fromEntries(Object.entries(kind.flags).map(([name, { initial }]) => [name, initial])),
);

const resumed = (own: object, asked: object) =>
  resumedSettings(
    "train",
    "runs/a",
    { ...initial, ...own },
    { ...initial, ...asked },
    new Set(Object.keys(asked)),
  );

test("settings survive their config.json", () => {
  const stored = JSON.parse(JSON.stringify({ ...initial, dModel: 8 })) as Record<string, unknown>;
  const { dModel, layers, dtRank }: Record<string, unknown> = readSettings(kind, "runs/a", {
    command: "train induction-heads",
    settings: stored,
  });
  assert.deepEqual({ dModel, layers, dtRank }, { dModel: 8, layers: 2, dtRank: undefined });
});

test("a setting that no flag would take is refused with the file's name", () => {
  assert.throws(
    () => readSettings(kind, "runs/a", { command: "train induction-heads", settings: { dModel: -3 } }),
    {
      name: "FormatError",
      message:
        "runs/a/config.json: dModel must be a whole number of at least 1, got -3. " +
        "Write it back as it was, or train anew under another name.",
    },
  );
});

test("a run goes on with its own settings where the command line is silent", () => {
  assert.equal(resumed({ dModel: 8 }, {}).dModel, 8);
  assert.equal(resumed({ dModel: 8 }, { dModel: 8 }).dModel, 8);
});

test("other settings than those of the run are refused by name, all at once", () => {
  assert.throws(() => resumed({ dModel: 8, seed: 1 }, { dModel: 16, seed: 2, layers: 2 }), {
    name: "UsageError",
    message:
      "train: runs/a was trained with --d-model 8, not 16; --seed 1, not 2. Leave the flag out to resume it, " +
      "choose another --name, or give --fresh to move it aside and begin anew.",
  });
});

test("when to look, when to save and when to stop may change", () => {
  const changed = { steps: 5000, checkpointEvery: 7, evaluateEvery: 9, evaluationBatches: 2 };
  const { steps, checkpointEvery, evaluateEvery, evaluationBatches } = resumed(
    { schedule: "constant" },
    changed,
  );
  assert.deepEqual({ steps, checkpointEvery, evaluateEvery, evaluationBatches }, changed);
});

test("when to stop may not change where the learning rate depends on it", () => {
  assert.throws(() => resumed({ schedule: "cosine", steps: 600 }, { steps: 5000 }), /--steps 600, not 5000/);
});
