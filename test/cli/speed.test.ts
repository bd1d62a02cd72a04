import assert from "node:assert/strict";
import { test } from "node:test";
import { uniform } from "../../src/cli/bench/inputs.ts";
import type { Experiment, Job } from "../../src/cli/reproduce/experiment.ts";
import { paperRatios, s4Speed } from "../../src/cli/reproduce/s4Speed.ts";
import { paperRatios as paperScan, scanSpeed } from "../../src/cli/reproduce/scanSpeed.ts";
import { plannedBytes } from "../../src/cli/reproduce/timing.ts";
import { capture, type Device, exp, plainDevice } from "../../src/node.ts";

/** The rows of all tables and the names of the lines that are drawn. */
async function measured<Settings extends object>({ parts }: Experiment<Settings>, settings: Settings) {
  const rows: { cells: readonly string[]; data: object }[] = [];
  const lines: string[] = [];
  const job: Job<Settings> = {
    settings,
    device: plainDevice(),
    row: async (cells, data) => void rows.push({ cells, data }),
    progress() {},
    once: (_name, measure) => measure(),
  };
  for (const { heads, run } of parts) {
    const before = rows.length;
    const panels = await run(job);
    for (const { cells } of rows.slice(before)) assert.equal(cells.length, heads.length);
    lines.push(...panels.flatMap(({ lines }) => lines.map(({ name, points }) => `${name} ${points.length}`)));
  }
  return { rows, lines };
}

test("s4-speed measures both ways of LSSL beside S4, and knows the paper's ratios", async () => {
  const { rows, lines } = await measured(s4Speed, { batch: 1, length: 4, dims: [8] });
  assert.deepEqual(
    rows.map(({ cells }) => cells[0]),
    ["8, S4", "8, LSSL, powers", "8, LSSL, recurrence"],
  );
  assert.deepEqual(lines.slice(0, 3), ["S4 1", "LSSL, powers 1", "LSSL, recurrence 1"]);
  const ratios = [128, 256, 512].map((dim) => paperRatios(dim)!); // they are in the table
  assert.deepEqual(
    ratios.map(({ faster }) => +faster.toFixed(2)),
    [1.95, 6.71, 29.62],
  );
  assert.deepEqual(
    ratios.map(({ smaller }) => Math.floor(smaller)),
    [41, 133, 392],
  );
});

test("scan-speed stops an operation that has become too slow, and goes on with the others", async () => {
  const settings = { batch: 1, dModel: 4, dState: 2, headDim: 2, lengths: [2, 4], mostSeconds: 1e-9 };
  const { rows } = await measured(scanSpeed, settings);
  assert.equal(rows.length, 4);
  assert.doesNotMatch(rows[0].cells.join(), /too slow/);
  assert.deepEqual(rows[1].cells.slice(1, 5), Array(4).fill("too slow"));
  assert.ok(Number(rows[0].cells[5]) > 0 && Number(rows[0].cells[7]) > 0);
  assert.deepEqual([1024, 4096].map(paperScan), [
    { naive: "20–40", attention: "" },
    { naive: "20–40", attention: "> 1" },
  ]);
});

test("what no device can hold is planned, and takes what it would take", async () => {
  const make = (device: Device) => {
    const u = uniform(device, [64, 64]);
    return { inputs: [u], program: capture(device, () => exp(exp(u))) };
  };
  const { program, inputs } = make(plainDevice());
  assert.equal(plannedBytes(make), program.bytes + 4 * inputs[0].buffer.length);
});

test("both experiments have settings that take minutes and those of the paper", () => {
  assert.deepEqual(s4Speed.paper.dims, [128, 256, 512]);
  assert.deepEqual([scanSpeed.paper.dModel, scanSpeed.paper.dState], [1024, 16]);
  assert.ok(s4Speed.differences(s4Speed.quick).length > s4Speed.differences(s4Speed.paper).length);
  assert.ok(scanSpeed.differences(scanSpeed.quick).length > scanSpeed.differences(scanSpeed.paper).length);
});
