import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { metricsOf, statewise, temporaryFolder } from "./cli.ts";

const tiny = ["--d-model", "8", "--layers", "1", "--d-state", "4", "--batch", "8", "--evaluate-every", "10"];

/** Sequences of 6 to 9 positions around 1 or −1. */
const rows = Array.from({ length: 20 }, (_, i) => {
  const label = i % 2 === 0 ? "up" : "down";
  return Array.from({ length: 6 + (i % 4) }, (_, t) => [
    `s${i}`,
    label,
    ((label === "up" ? 1 : -1) + 0.3 * Math.sin(7 * i + 3 * t)).toFixed(3),
  ]);
});

test("classes of a CSV in long format are learned, scored, evaluated, and resumed", async (t) => {
  const cwd = temporaryFolder(t);
  const lines = rows.flatMap((sequence) => sequence.map((row) => row.join(",")));
  writeFileSync(join(cwd, "a.csv"), `id,kind,x\n${lines.join("\n")}\n`);
  const flags = ["train", "classify", "--csv", "a.csv", "--label", "kind", ...tiny, "--schedule", "constant"];
  const { code, stdout, stderr } = await statewise([...flags, "--steps", "20", "--learning-rate", "0.02"], {
    cwd,
  });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^validation: 100 % of 4 sequences in the right one of 2 classes, loss \S+$/m);
  const run = join(cwd, "runs", "classify");
  const results = JSON.parse(readFileSync(join(run, "results.json"), "utf8")) as Record<string, unknown>;
  assert.deepEqual([results.sequences, results.classes, results.accuracy], [4, ["down", "up"], 1]);
  assert.equal(metricsOf(run).filter(({ type }) => type === "evaluation").length, 2);
  const evaluated = await statewise(["eval", "--run", "classify"], { cwd });
  assert.equal(evaluated.stdout.trim(), /^validation: .*$/m.exec(stdout)?.[0]);
  const resumed = await statewise(["train", "classify", "--steps", "22"], { cwd });
  assert.match(resumed.stdout, /^resuming runs\/classify at step 20 of 22$/m);
});

test("a folder for each class is learned", async (t) => {
  const cwd = temporaryFolder(t);
  for (const [i, sequence] of rows.entries()) {
    const folder = join(cwd, "data", sequence[0][1]);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${i}.csv`), `x\n${sequence.map(([, , x]) => x).join("\n")}\n`);
  }
  const { code, stdout } = await statewise(
    ["train", "classify", "--folder", "data", ...tiny, "--steps", "2"],
    { cwd },
  );
  assert.equal(code, 0);
  assert.match(stdout, /of 4 sequences in the right one of 2 classes/);
});

test("images are learned pixel by pixel, in their order or permuted", async (t) => {
  const cwd = temporaryFolder(t);
  const images = Uint8Array.from({ length: 10 * 6 }, (_, i) => (i % 12 < 6 ? 200 : 10));
  writeFileSync(
    join(cwd, "images"),
    Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 3, ...images),
  );
  writeFileSync(
    join(cwd, "labels"),
    Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 10, ...Array.from({ length: 10 }, (_, i) => i % 2)),
  );
  const flags = ["train", "classify", "--images", "images", "--labels", "labels", ...tiny, "--steps", "2"];
  for (const more of [[], ["--permuted", "--name", "permuted"]]) {
    const { code, stdout, stderr } = await statewise([...flags, ...more], { cwd });
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^data {5}8 sequences of length 6 per step$/m);
  }
});

test("data that is missing, too much, or no data is refused", async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, "a.csv"), "id,label,x\n1,up,0\n2,down,1\n");
  mkdirSync(join(cwd, "data"));
  const which = "train: what should be learned? Give one of --csv, --folder, or --images with --labels.\n";
  const answers: readonly (readonly [string[], string])[] = [
    [[], which],
    [["--csv", "a.csv", "--folder", "data"], which],
    [["--images", "a.csv"], which],
    [["--folder", "a.csv"], "train: --folder must be a folder, and a.csv is none.\n"],
    [
      ["--folder", "data"],
      "train: data must have subfolders, one for each class, with CSV files in them. It has none.\n",
    ],
    [
      ["--images", "a.csv", "--labels", "a.csv"],
      "a.csv: must be an IDX file, such as those of MNIST. It does not begin like one.\n",
    ],
    [
      ["--csv", "a.csv"],
      "classify: a.csv must have at least 2 sequences of some class, one to validate with.\n",
    ],
    [["--csv", "a.csv", "--label", "labe"], 'a.csv: has no column "labe". Did you mean "label"?\n'],
  ];
  for (const [flags, stderr] of answers) {
    const ended = await statewise(["train", "classify", ...flags], { cwd });
    assert.deepEqual([ended.stdout, ended.stderr], ["", stderr]);
  }
});
