import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  type Experiment,
  type ExperimentResults,
  runExperiment,
} from "../../src/cli/reproduce/experiment.ts";
import { hippo } from "../../src/cli/reproduce/hippo.ts";
import { stability } from "../../src/cli/reproduce/stability.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { temporaryFolder } from "./cli.ts";

/** The rows of each part, by its order. */
async function run<Settings extends object>(
  runs: string,
  experiment: Experiment<Settings>,
  settings: Partial<Settings>,
): Promise<Readonly<Record<string, number>>[][]> {
  const stream = { write: () => true };
  const small = { ...experiment, quick: { ...experiment.quick, ...settings } };
  const given = { name: "x", runs, fresh: false, device: "plain" as const, threads: undefined, json: false };
  const terminal = new Terminal(stream, stream, false);
  assert.equal(await runExperiment(small, { ...given, paper: false }, terminal), 0);
  const text = readFileSync(join(runs, "x", "results.json"), "utf8");
  return Object.values((JSON.parse(text) as ExperimentResults).parts) as Record<string, number>[][];
}

test("hippo: more numbers hold more, and LegS alone does not mind the speed of the signal", async (t) => {
  const [held, stretched] = await run(temporaryFolder(t), hippo, {
    lengths: [2000],
    states: [16, 64],
    periods: 8,
    stretched: 2000,
    stretchedStates: 64,
    stretches: [1, 10],
  });
  assert.deepEqual(
    held.map(({ memory, N }) => `${memory} ${N}`),
    ["LegS 16", "LegS 64", "LegT 16", "LegT 64"],
  );
  assert.ok(held[1].error < 0.02 && held[1].error < held[0].error / 5, JSON.stringify(held));
  const errors = stretched.map((row) => row.errors as unknown as Record<string, number>);
  assert.ok(Math.abs(errors[0].LegS - errors[1].LegS) < 0.01, "LegS");
  assert.ok(errors[1].LegT > 10 * errors[0].LegT, "LegT forgets what lies before its window");
});

test("stability: eigenvectors lose A, NPLR keeps it; P Q* turns unstable, P P* never; Euler explodes", async (t) => {
  const [rebuilt, disturbed, discrete] = await run(temporaryFolder(t), stability, {
    states: [8, 32],
    disturbedStates: 16,
    draws: 6,
    disturbances: [1],
    discreteStates: 32,
    deltas: [0.001, 0.1],
  });
  assert.ok(rebuilt[1]["V: f64"] > 1e-3 && rebuilt[1]["NPLR: f64"] < 1e-12 && rebuilt[1]["NPLR: f32"] < 1e-5);
  const unstable = disturbed[0].unstable as unknown as Record<string, number>;
  assert.ok(unstable["Λ − P Q*"] > 0 && unstable["Λ − P P*"] === 0);
  const sizes = discrete.map((row) =>
    (row.found as unknown as { size: number | null }[]).map(({ size }) => size),
  );
  assert.ok(sizes[1][0] === null || sizes[1][0] > 1e10, "Euler at Δ = 0.1");
  assert.ok(
    sizes.every(
      ([, bilinear, exact]) => bilinear !== null && bilinear < 100 && exact !== null && exact < 100,
    ),
  );
});
