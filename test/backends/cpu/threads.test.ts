import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, test } from "node:test";
import { CpuBackend } from "../../../src/backends/cpu/backend.ts";
import { addonPath } from "../../../src/backends/cpu/native.ts";
import { openDevice } from "../../../src/node.ts";
import { geluOp, siluOp } from "../../../src/ops/activation.ts";
import { divOp, mulOp, scale, scaleOp } from "../../../src/ops/arithmetic.ts";
import { assign, assignOp } from "../../../src/ops/assign.ts";
import { maxOp, meanOp, sumOp } from "../../../src/ops/reduce.ts";
import { concatOps, sliceOp, splitOps, transposeOp } from "../../../src/ops/reshape.ts";
import type { Op } from "../../../src/tensor/op.ts";
import { evaluate, type Input, normals } from "../../compareCalls.ts";

const kinds = existsSync(addonPath()) ? ["wasm", "native"] : ["wasm"];
const teams = await Promise.all(
  kinds.map((device) => Promise.all([1, 2, 3].map((threads) => openDevice({ device, threads })))),
);
after(() => Promise.all(teams.flat().map((device) => device.dispose())));

/** One, two and three threads give the same bits, forward and backward. */
function sameBits<Options>(op: Op<Options>, inputs: readonly Input[], options: Options): void {
  const shapes = inputs.map(({ shape }) => `(${shape.join(", ")})`).join(" and ");
  test(`${op.name} of ${shapes} gives the same bits on 1, 2 and 3 threads`, async () => {
    for (const [alone, ...others] of teams) {
      const expected = await evaluate(alone, op, inputs, options);
      for (const device of others) {
        for (const [name, numbers] of await evaluate(device, op, inputs, options)) {
          assert.deepEqual(numbers, expected.get(name), `${device.name}: ${name}`);
        }
      }
    }
  });
}

// Each is large enough to be shared among threads (see parallelWork in program.ts), and fits no vector.
const large = normals(1, 300, 131);
sameBits(siluOp, [large], null);
sameBits(geluOp, [large], null);
sameBits(scaleOp, [large], { factor: 0.3 });
sameBits(mulOp, [large, normals(2, 300, 131)], null);
sameBits(mulOp, [large, normals(2, 131)], null);
sameBits(divOp, [large, normals(2, 300, 1)], null);
sameBits(mulOp, [normals(2, 1), large], null);
for (const op of [sumOp, meanOp, maxOp]) {
  sameBits(op, [large], { axis: null });
  sameBits(op, [large], { axis: 0 });
  sameBits(op, [large], { axis: 1 });
}
sameBits(sliceOp, [large], { axis: 0, start: 7, end: 290 });
sameBits(splitOps[1], [large], { widths: [64, 60, 7] });
sameBits(concatOps[0], [large, normals(2, 300, 131)], { axis: 1 });
sameBits(transposeOp, [large], null);
sameBits(assignOp, [large, normals(2, 300, 131)], null);

test("a device that opens before its threads have started gives the same bits before and after they join", async () => {
  for (const [i, kind] of kinds.entries()) {
    const expected = await evaluate(teams[i][0], sumOp, [large], { axis: 0 });
    const device = await openDevice({ device: kind });
    for (const until = performance.now() + 300; performance.now() < until;) {
      const got = await evaluate(device, sumOp, [large], { axis: 0 });
      for (const [name, numbers] of got) assert.deepEqual(numbers, expected.get(name), `${kind}: ${name}`);
    }
    await device.dispose();
  }
});

test("the teams have the threads they were asked for", () => {
  for (const team of teams) {
    const threads = team.map(({ backend }) => (backend as CpuBackend).machine.threads);
    assert.deepEqual(threads, [1, 2, 3]);
  }
});

test("devices of one kind live side by side, each on its own memory", async () => {
  for (const team of teams) {
    const tensors = team.map((device, i) => device.tensor(new Float32Array(50_000).fill(i)));
    for (const u of tensors) assign(u, scale(u, 10));
    for (const [i, u] of tensors.entries()) assert.equal((await u.read())[49_999], 10 * i);
  }
});

test("a device that was disposed is refused instead of waiting for its threads", async () => {
  for (const threads of [1, 2]) {
    const device = await openDevice({ device: "wasm", threads });
    const [u, v] = [device.zeros([50_000]), device.zeros([50_000])];
    await device.dispose();
    assert.throws(() => assign(u, v), {
      name: "DeviceError",
      message: "cpu: the device was disposed and then used",
    });
  }
});
