import assert from "node:assert/strict";
import { test } from "node:test";
import { chartOf } from "../../src/cli/chart.ts";
import { lineChart } from "../../src/cli/lineChart.ts";
import type { Metric } from "../../src/cli/metrics.ts";

const memory = { parameters: 1, gradients: 1, optimizer: 1, activations: 1, total: 4 };
const stage = (step: number, length: number): Metric => ({
  type: "stage",
  step,
  stage: 0,
  batch: 1,
  length,
  memory,
});
const steps = (count: number): Metric[] =>
  Array.from({ length: count }, (_, i) => ({
    type: "step",
    step: i + 1,
    stage: 0,
    loss: 3 * 0.99 ** i,
    accuracy: i / count,
    gradientNorm: 1,
    learningRate: 1e-3,
    tokens: 1,
    seconds: 1,
  }));

test("a chart has a title, both axes with their units, and a curve per panel", () => {
  const svg = chartOf("my <run>", [stage(1, 16), ...steps(50)]);
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="860" /);
  for (const text of ["my &lt;run>", "loss (nats)", "accuracy (%)", "step", "training"])
    assert.ok(svg.includes(text), text);
  assert.doesNotMatch(svg, /validation|length 16|NaN|&nbsp;/);
  assert.equal(svg.match(/aria-label="line"/g)?.length, 2);
});

test("evaluations and stages are shown where there are any", () => {
  const evaluation = { type: "evaluation", step: 25, loss: 1, accuracy: 0.5 } as const;
  const svg = chartOf("run", [stage(1, 16), stage(30, 64), ...steps(50), evaluation]);
  for (const text of ["validation", "length 16", "length 64"]) assert.ok(svg.includes(text), text);
});

test("a long run's chart is no larger than a screen needs", () => {
  assert.ok(chartOf("run", steps(100_000)).length < 40_000);
});

const log = (label: string) => ({ label, log: true });

test("a logarithmic axis says the few values that were measured, else powers of ten", () => {
  const points = [16, 64, 16384].map((n, i) => [n, 10 ** (12 * i - 20)] as const);
  const svg = lineChart("speed", [{ x: log("N"), y: log("error"), lines: [{ name: "S4", points }] }]);
  for (const label of ["16", "64", "16 384", "10⁻²⁰", "10⁻⁸"]) {
    assert.ok(svg.includes(`>${label}</text>`), label);
  }
});

test("a curve of many points has no dots, and a long key has as many rows as it needs", () => {
  const points = Array.from({ length: 100 }, (_, i) => [i, i] as const);
  const lines = Array.from({ length: 9 }, (_, i) => ({ name: `a model of the name ${i}`, points }));
  const svg = lineChart("many", [{ x: { label: "step" }, y: { label: "loss" }, lines }]);
  assert.doesNotMatch(svg, /<circle/);
  const rights = [...svg.matchAll(/<text x="(\d+)" y="\d+" font-size="12">/g)].map(([, x]) => Number(x));
  assert.equal(rights.length, 9);
  assert.ok(rights.every((x) => x < 860 - 100));
});
