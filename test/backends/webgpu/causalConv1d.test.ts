import { after, test } from "node:test";
import { openDevice } from "../../../src/node.ts";
import { causalConv1dOp } from "../../../src/ops/causalConv1d.ts";
import type { Device } from "../../../src/tensor/device.ts";
import { compareCalls, type Input, integers, normals } from "../../compareCalls.ts";

/** float32 against float64, sums over at most 200 numbers, relative to the largest number of a tensor. */
const tolerance = 1e-5;

const opened: Device[] = [];
after(() => Promise.all(opened.map((device) => device.dispose())));

/** All five inputs of the op; one step in `every` begins a document, or there are none. */
function inputsOf(
  batch: number,
  length: number,
  channels: number,
  dConv: number,
  every?: number,
): (Input | null)[] {
  const resets = every === undefined ? null : integers(5, every, batch, length);
  return [
    normals(1, batch, length, channels),
    normals(2, dConv, channels),
    normals(3, channels),
    normals(4, batch, dConv - 1, channels),
    resets && { ...resets, values: Int32Array.from(resets.values, (x) => +(x === 0)) },
  ];
}

for (const [what, inputs] of [
  ["vectors of four channels", inputsOf(2, 50, 12, 4, 9)],
  ["single channels", inputsOf(1, 45, 7, 3)],
  ["a sequence shorter than the filter", inputsOf(2, 3, 8, 6, 7)],
  ["a filter longer than a word of resets", inputsOf(1, 30, 5, 16, 4)],
] as const) {
  test(`few invocations that go over many steps each: ${what}`, async () => {
    const gpu = { parallelism: 8, defaultLimits: true, subgroups: false };
    const device = await openDevice({ device: "webgpu", gpu });
    opened.push(device);
    await compareCalls(device, causalConv1dOp, inputs, { silu: true }, tolerance);
  });
}
