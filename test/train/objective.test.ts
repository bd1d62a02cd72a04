import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { LabelledBatch } from "../../src/data/labelled.ts";
import type { SignalBatch } from "../../src/data/signal.ts";
import { createSequenceModel, sequenceConfig } from "../../src/models/catalog.ts";
import type { Readout } from "../../src/models/sequenceModel.ts";
import { classification } from "../../src/train/classification.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import { type Extent, type Objective, scoreOf } from "../../src/train/objective.ts";
import { regression } from "../../src/train/regression.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import { openDevices } from "../devices.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));
const [device] = devices;

const [batch, length] = [4, 12];
const sizes = { dModel: 8, layers: 1, dState: 4, inputs: 2 };
const wave = (count: number, step: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(step * i));
const create = (more: { outputs: number; readout: Readout; dropout?: number }) =>
  createSequenceModel(device, sequenceConfig("mamba", { ...sizes, ...more }), 1);

const signals = (asked: number, outputs: number): SignalBatch => ({
  batch,
  length,
  channels: 2,
  asked,
  outputs,
  inputs: wave(batch * length * 2, 0.7),
  targets: wave(batch * asked * outputs, 1.3),
});
const labelled: LabelledBatch = {
  batch,
  length,
  inputs: wave(batch * length * 2, 0.7),
  targets: Int32Array.of(0, 2, 1, 2),
  lengths: Int32Array.of(12, 5, 1, 9),
};

async function losses<B extends Extent>(
  objective: Objective<B>,
  given: B,
  steps: number,
  options: TrainerOptions = { weightDecay: 0 },
): Promise<number[]> {
  const trainer = new Trainer(objective, options);
  const found: number[] = [];
  for (let i = 0; i < steps; i++) found.push((await trainer.step([given], 2e-2)).loss);
  trainer.free();
  return found;
}

for (const [asked, readout] of [
  [1, "last"],
  [length, "each"],
  [5, "each"],
] as const) {
  test(`numbers asked at ${asked} positions are learned by a model that reads out ${readout}`, async () => {
    const objective = regression(create({ outputs: 3, readout }));
    const found = await losses(objective, signals(asked, 3), 60);
    assert.ok(found[59] < found[0] / 2, `from ${found[0]} to ${found[59]}`);
  });
}

test("classes of sequences of different lengths are learned, by any pooling", async () => {
  for (const readout of ["last", "mean", "max"] as const) {
    const objective = classification(create({ outputs: 3, readout }), { padded: true });
    const found = await losses(objective, labelled, 60);
    assert.ok(found[59] < found[0] / 4, `${readout}: from ${found[0]} to ${found[59]}`);
  }
});

test("a target that is NaN carries no loss, and the others are averaged", async () => {
  const model = create({ outputs: 1, readout: "last" });
  const whole = signals(1, 1);
  const task = (targets: Float32Array) => ({
    train: () => ({ ...whole, targets }),
    validation: () => ({ ...whole, targets }),
  });
  const scored = (targets: Float32Array) =>
    evaluate(regression(model), task(targets), { batches: 1, batch, length });
  const said = await model.forward(device.tensor(whole.inputs, [batch, length, 2])).y.read();
  const targets = Float32Array.of(NaN, 1, NaN, -2);
  const { loss, mae, accuracy } = await scored(targets);
  const off = [said[1] - 1, said[3] + 2];
  assert.ok(Math.abs(loss - (off[0] ** 2 + off[1] ** 2) / 2) < 1e-6);
  assert.ok(Math.abs((mae ?? NaN) - (Math.abs(off[0]) + Math.abs(off[1])) / 2) < 1e-6);
  assert.equal(accuracy, undefined);
});

test("measures are means over all answers, however they are spread over batches", () => {
  const tallies = [
    { counted: 1, sums: { accuracy: 1 } },
    { counted: 3, sums: { accuracy: 1 } },
  ];
  assert.deepEqual(scoreOf(2, tallies), { loss: 2, accuracy: 0.5 });
});

test("dropout draws anew each step, the same from the same seed, and nothing in evaluation", async () => {
  const train = (dropout: number, seed: number, learningRate = 0) => {
    const model = create({ outputs: 3, readout: "last", dropout });
    const trainer = new Trainer(regression(model), { seed });
    return { model, step: () => trainer.step([signals(1, 3)], learningRate) };
  };
  const run = async (dropout: number, seed: number) => {
    const { step } = train(dropout, seed);
    return [(await step()).loss, (await step()).loss];
  };
  const [first, second] = await run(0.5, 1);
  assert.notEqual(first, second, "the parameters are the same: only the mask can differ");
  assert.deepEqual(await run(0.5, 1), [first, second]);
  assert.notDeepEqual(await run(0.5, 2), [first, second]);
  const [plain, again] = await run(0, 1);
  assert.equal(plain, again);
  const { model } = train(0.5, 1);
  const source = { train: () => signals(1, 3), validation: () => signals(1, 3) };
  const { loss } = await evaluate(regression(model), source, { batches: 1, batch, length });
  assert.ok(Math.abs(loss - plain) < 1e-6);
});

test("dropout of a resumed run goes on where it stopped", async () => {
  const given = signals(1, 3);
  const create50 = () => regression(create({ outputs: 3, readout: "last", dropout: 0.5 }));
  const whole = await losses(create50(), given, 4, { seed: 3 });
  const objective = create50();
  const stopped = new Trainer(objective, { seed: 3 });
  await stopped.step([given], 2e-2);
  await stopped.step([given], 2e-2);
  const { moments, updates } = stopped.optimizer;
  const resumed = new Trainer(objective, { seed: 3 }, { moments, updates });
  assert.equal((await resumed.step([given], 2e-2)).loss, whole[2]);
  assert.equal((await resumed.step([given], 2e-2)).loss, whole[3]);
});
