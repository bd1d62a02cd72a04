import assert from "node:assert/strict";
import { test } from "node:test";

import { createSequenceModel, sequenceConfig } from "../../src/models/catalog.ts";
import { readoutNames } from "../../src/models/sequenceModel.ts";
import { exactDevice } from "../gradcheck.ts";

const device = exactDevice();
const sizes = { dModel: 8, layers: 2, dState: 4, inputs: 3, outputs: 5 };
const create = (more: object) =>
  createSequenceModel(device, sequenceConfig("mamba", { ...sizes, ...more }), 1);
const series = (batch: number, length: number) =>
  Float64Array.from({ length: batch * length * 3 }, (_, i) => Math.sin(1 + i * i));

function assertClose(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(got.length, expected.length);
  for (let i = 0; i < got.length; i++) assert.ok(Math.abs(got[i] - expected[i]) < 1e-12, `element ${i}`);
}

test("each position is read out, or one row a sequence", () => {
  const u = device.tensor(series(2, 7), [2, 7, 3]);
  for (const readout of readoutNames) {
    const { y } = create({ readout }).forward(u);
    assert.deepEqual(y.shape, readout === "each" ? [2, 7, 5] : [2, 5]);
  }
});

test("tokens are embedded", () => {
  const model = create({ tokens: true, readout: "each" });
  const { y } = model.forward(device.integers([0, 1, 2, 2, 1, 0], [2, 3]));
  assert.deepEqual(y.shape, [2, 3, 5]);
});

for (const readout of ["last", "mean", "max"]) {
  test(`${readout}: what a mask leaves out does not count`, async () => {
    const model = create({ readout });
    const [length, own] = [9, 6];
    const whole = series(1, length);
    const mask = Float64Array.from({ length }, (_, t) => (t < own ? 1 : 0));
    const padded = model.forward(device.tensor(whole, [1, length, 3]), {
      mask: device.tensor(mask, [1, length]),
    });
    const alone = model.forward(device.tensor(whole.slice(0, own * 3), [1, own, 3]));
    assertClose(await padded.y.read(), await alone.y.read());
  });
}

test("steps give what forward reads out last", async () => {
  const model = create({ readout: "last" });
  const u = series(1, 6);
  let state = model.initialState(1);
  let last: ArrayLike<number> = [];
  for (let t = 0; t < 6; t++) {
    const next = model.step(device.tensor(u.slice(3 * t, 3 * t + 3), [1, 3]), state);
    ({ state } = next);
    last = await next.y.read();
  }
  assertClose(last, await model.forward(device.tensor(u, [1, 6, 3])).y.read());
});

test("a model that pools has no step", () => {
  const model = create({ readout: "mean" });
  assert.throws(() => model.step(device.tensor([1, 2, 3], [1, 3]), model.initialState(1)), {
    name: "UsageError",
    message: "step: the model reads out the mean of all positions. Use forward.",
  });
});
