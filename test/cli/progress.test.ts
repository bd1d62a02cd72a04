import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import picocolors from "picocolors";
import { TrainingProgress } from "../../src/cli/progress.ts";
import { type LiveLine, Terminal } from "../../src/cli/terminal.ts";

const step = (step: number, loss = 2) =>
  ({
    type: "step",
    step,
    stage: 0,
    loss,
    accuracy: 0.5,
    gradientNorm: 1,
    learningRate: 1e-3,
    tokens: 1000,
    seconds: 0,
  }) as const;

/** Steps of `seconds` each, as they are shown. */
function shown(live: LiveLine | null, steps: number, seconds: number, total = steps): string {
  let text = "";
  let now = 0;
  const terminal = new Terminal({ write: (part) => (text += part) }, { write: () => {} }, false);
  const progress = new TrainingProgress(terminal, live, () => now);
  progress.begin({ steps: total, atMost: false });
  for (let i = 1; i <= steps; i++) {
    now += 1000 * seconds;
    progress.step(step(i));
  }
  return text;
}

function liveLine(width: number): LiveLine & { readonly lines: string[] } {
  const lines: string[] = [];
  const update = (text: string) => void lines.push(text);
  return { lines, width, colors: picocolors.createColors(true), update, clear() {} };
}

test("without a terminal there is a line at every tenth of the run, the first and the last included", () => {
  const lines = shown(null, 1000, 0.01).trimEnd().split("\n");
  assert.equal(lines.length, 11);
  assert.equal(lines[0], "step 1 of 1 000   loss 2.00   accuracy 50.0 %");
  assert.equal(
    lines[1],
    "step 100 of 1 000   loss 2.00   accuracy 50.0 %   9.0 s left   100k tokens/s   rate 0.001",
  );
  assert.equal(lines[10], "step 1 000 of 1 000   loss 2.00   accuracy 50.0 %   100k tokens/s   rate 0.001");
  assert.ok(!lines.join("").includes("\u001b"));
});

test("where steps are slow, there is a line at least every ten seconds", () => {
  assert.equal(shown(null, 100, 5, 100_000).trimEnd().split("\n").length, 50);
});

test("on a terminal one line is drawn over itself, at most ten times a second", () => {
  const live = liveLine(120);
  assert.equal(shown(live, 1000, 0.01), "");
  assert.ok(live.lines.length > 90 && live.lines.length < 110, String(live.lines.length));
});

test("the line fits the terminal: what matters least is left out", () => {
  for (const width of [20, 60, 80, 100, 120]) {
    const live = liveLine(width);
    shown(live, 100, 0.2);
    for (const line of live.lines) {
      assert.ok(stripVTControlCharacters(line).length < width);
    }
  }
  const live = liveLine(80);
  shown(live, 500, 0.2, 1000);
  assert.match(
    live.lines.at(-1) ?? "",
    /step 500 of 1 000 {2}loss 2\.00 {2}accuracy 50\.0 % {2}1:40 min left$/,
  );
});
