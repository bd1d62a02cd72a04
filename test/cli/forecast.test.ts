import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { jsonLines, metricsOf, start, statewise, temporaryFolder } from "./cli.ts";

/** Two series and a date, with a gap; the second one is seasonal. */
const table = [
  "date,load,wave",
  ...Array.from({ length: 80 }, (_, t) => {
    const load = t % 9 === 4 ? "" : (50 + 10 * Math.sin(t) + (t % 5)).toFixed(3);
    return `day ${t},${load},${(3 * Math.sin((2 * Math.PI * t) / 8) + ((7 * t) % 5) / 10).toFixed(4)}`;
  }),
];
const tiny = [
  "--d-model",
  "4",
  "--layers",
  "1",
  "--batch",
  "2",
  "--context",
  "8",
  "--horizon",
  "3",
  "--steps",
  "4",
];
const train = ["train", "forecast", "--csv", "a.csv", ...tiny, "--evaluate-every", "2"];

function folderWithSeries(t: Parameters<typeof temporaryFolder>[0]): string {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, "a.csv"), `${table.join("\n")}\n`);
  return cwd;
}

test("a forecast is trained, scored beside what it should beat, charted, evaluated and gone on from", async (t) => {
  const cwd = folderWithSeries(t);
  const trained = await statewise([...train, "--target", "wave", "--inputs", "load", "--season", "8"], {
    cwd,
  });
  assert.equal(trained.stderr, "");
  assert.equal(trained.code, 0);
  assert.match(trained.stdout, /^test, horizon 3 +MSE +MAE +MASE +MAE of wave +RMSE$/m);
  for (const name of ["model", "linear", "seasonal naive", "naive"]) {
    assert.match(trained.stdout, new RegExp(`^${name}( +\\S+){5}$`, "m"));
  }
  assert.match(
    trained.stdout,
    /^14 windows of wave, in \S+ s: runs\/forecast\/results.json, runs\/forecast\/forecast.svg$/m,
  );
  assert.match(trained.stdout, /^next: statewise forecast --run runs\/forecast --csv a\.csv$/m);
  const run = join(cwd, "runs", "forecast");
  assert.match(readFileSync(join(run, "forecast.svg"), "utf8"), /measured.*forecast.*wave/s);
  const results = JSON.parse(readFileSync(join(run, "results.json"), "utf8")) as {
    scores: Record<string, unknown>;
  };
  assert.deepEqual(Object.keys(results.scores), ["model", "linear", "seasonal naive", "naive"]);

  const again = await statewise(["eval", "--run", "forecast"], { cwd });
  const rows = (text: string) => /^model .*\d$/m.exec(text)?.[0];
  assert.equal(rows(again.stdout), rows(trained.stdout));

  const next = await statewise(["forecast", "--run", "forecast", "--csv", "a.csv", "--json"], { cwd });
  const [{ type, after, horizon, forecast }] = jsonLines(next.stdout);
  assert.deepEqual([type, after, horizon], ["forecast", 80, 3]);
  const values = (forecast as { wave: number[] }).wave;
  assert.equal(values.length, 3);
  const shown = await statewise(["forecast", "--run", "forecast", "--csv", "a.csv"], { cwd });
  assert.deepEqual(
    shown.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/ +/)),
    [["row", "wave"], ...values.map((value, i) => [`+${i + 1}`, String(Number(value.toPrecision(6)))])],
  );
});

test("rows that come one by one are answered one by one, as the file of them would be", async (t) => {
  const cwd = folderWithSeries(t);
  await statewise([...train, "--target", "load", "wave"], { cwd });
  const whole = await statewise(["forecast", "--run", "forecast", "--csv", "a.csv", "--json"], { cwd });
  const input = [table[0], ...table.slice(-8)].join("\n");
  const streamed = await statewise(["forecast", "--run", "forecast", "--follow", "--json"], { cwd, input });
  assert.equal(streamed.stderr, "");
  const answers = jsonLines(streamed.stdout).map(({ forecast }) => forecast);
  assert.equal(answers.length, 8);
  assert.deepEqual(answers[7], jsonLines(whole.stdout)[0].forecast);

  // A file before the stream is read first, and only the stream's rows are answered.
  writeFileSync(join(cwd, "before.csv"), `${table.slice(0, -1).join("\n")}\n`);
  const one = await statewise(["forecast", "--run", "forecast", "--csv", "before.csv", "--follow"], {
    cwd,
    input: `${table[0]}\n${table.at(-1)}\n`,
  });
  const lines = one.stdout.trimEnd().split("\n");
  assert.equal(lines[0], "load+1,load+2,load+3,wave+1,wave+2,wave+3");
  assert.equal(lines.length, 2);
  assert.equal(lines[1].split(",").length, 6);
});

test("a row that is answered is answered before the next one comes", async (t) => {
  const cwd = folderWithSeries(t);
  await statewise([...train, "--target", "wave"], { cwd });
  const input = `${table[0]}\n${table[1]}\nday 2,1\n`;
  const { code, stdout, stderr } = await start(["forecast", "--run", "forecast", "--follow"], { cwd, input })
    .ended;
  assert.equal(stdout.trimEnd().split("\n").length, 2);
  assert.deepEqual(
    [code, stderr],
    [1, "standard input: row 3 must have 3 cells, as the header has, got 2.\n"],
  );
});

test("a resumed forecast equals one that never stopped, and does not need its flags again", async (t) => {
  const cwd = folderWithSeries(t);
  const flags = [...train, "--target", "all", "--schedule", "constant"];
  await statewise([...flags, "--name", "whole"], { cwd });
  await statewise([...flags, "--name", "parts", "--steps", "2"], { cwd });
  const { code, stderr } = await statewise(["train", "forecast", "--name", "parts", "--steps", "4"], { cwd });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(metricsOf(join(cwd, "runs", "parts")), metricsOf(join(cwd, "runs", "whole")));
});

test("a series that is not as it must be is refused with what to do, and leaves no run", async (t) => {
  const cwd = folderWithSeries(t);
  const write = (name: string, text: string) => writeFileSync(join(cwd, name), text);
  write("ragged.csv", "y\n1\n2,3\n");
  write("empty.csv", "");
  const own = ["--target", "wave"];
  const answers: readonly (readonly [string[], string, number])[] = [
    [["--csv", "a.csv"], "train: --target is missing: which column of a.csv should be forecast?", 2],
    [own, "train: --csv is missing: which file should be learned?", 2],
    [["--csv", "none.csv", ...own], "train: there is no file none.csv. Check --csv.", 1],
    [["--csv", ".", ...own], "train: --csv must be a file, got the directory ..", 1],
    [["--csv", "empty.csv", ...own], "empty.csv: is empty. A CSV begins with a row of column names.", 1],
    [
      ["--csv", "ragged.csv", "--target", "y"],
      "ragged.csv: row 3 must have 1 cell, as the header has, got 2.",
      1,
    ],
    [["--csv", "a.csv", "--target", "wav"], 'a.csv: has no column "wav". Did you mean "wave"?', 1],
    [
      ["--csv", "a.csv", "--target", "date"],
      'a.csv: row 2, column "date": must be a number, got "day 0". ' +
        "Choose other columns, or leave the cell empty where nothing was measured.",
      1,
    ],
    [
      ["--csv", "a.csv", ...own, "--horizon", "90"],
      "a.csv: the train part must have at least 186 rows (context 96 + horizon 90), got 56 of 80. " +
        "Choose a shorter context or horizon, or another split.",
      1,
    ],
    [
      ["--csv", "a.csv", ...own, "--context", "8", "--horizon", "10"],
      "a.csv: the validation part must have at least 10 rows (horizon 10), got 8 of 80. " +
        "Choose a shorter horizon, or another split.",
      1,
    ],
    [
      ["--csv", "a.csv", ...own, "--split", "60,20,20"],
      "a.csv: --split 60,20,20 takes 100 rows, got 80. Choose smaller parts.",
      1,
    ],
    [
      ["--csv", "a.csv", ...own, "--split", "0.9,0.2,0.1"],
      "train: --split must be three numbers with commas between: rows, or fractions that sum to at most 1, " +
        "the first above 0, got 0.9,0.2,0.1.",
      2,
    ],
    [
      ["--csv", "a.csv", ...own, "--context", "8", "--horizon", "3", "--split", "0.8,0,0.2"],
      "train: --split leaves no rows to validate with. Give --evaluate-every 0.",
      2,
    ],
  ];
  const ended = await Promise.all(
    answers.map(([flags], i) => statewise(["train", "forecast", "--name", `run${i}`, ...flags], { cwd })),
  );
  for (const [i, [, text, code]] of answers.entries()) {
    assert.deepEqual(ended[i], { code, signal: null, stdout: "", stderr: `${text}\n` });
  }
  assert.deepEqual(readdirSync(join(cwd, "runs")), []);
});

test("a forecast needs a run of forecasts, and a file that is long enough", async (t) => {
  const cwd = folderWithSeries(t);
  await statewise([...train, "--target", "wave"], { cwd });
  writeFileSync(join(cwd, "short.csv"), "wave\n1\n2\n");
  const answers: readonly (readonly [string[], string])[] = [
    [[], "forecast: --run is missing: which run?\n"],
    [["--run", "forecast"], "forecast: --csv is missing: what should the forecast go on from?\n"],
    [
      ["--run", "forecast", "--csv", "short.csv"],
      "short.csv: must have at least 8 rows, the context of the model, got 2. Add earlier rows.\n",
    ],
  ];
  for (const [flags, stderr] of answers) {
    assert.equal((await statewise(["forecast", ...flags], { cwd })).stderr, stderr);
  }
  const config = join(cwd, "runs", "forecast", "config.json");
  const written = readFileSync(config, "utf8");
  writeFileSync(config, written.replace(/"deviation": [^,}]*/, '"deviation": 0'));
  assert.equal(
    (await statewise(["forecast", "--run", "forecast", "--csv", "a.csv"], { cwd })).stderr,
    "forecast: runs/forecast/config.json has lost how the model sees the series. Train anew under another name.\n",
  );
  writeFileSync(config, written.replace("train forecast", "train text").replace('"view"', '"other"'));
  assert.equal(
    (await statewise(["forecast", "--run", "forecast", "--csv", "a.csv"], { cwd })).stderr,
    'forecast: runs/forecast is a run of "train text". Take one of "train forecast".\n',
  );
});
