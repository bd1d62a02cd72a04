import assert from "node:assert/strict";
import { after, test } from "node:test";

import { inductionHeads } from "../../src/data/inductionHeads.ts";
import { createMamba, mambaConfig } from "../../src/models/mamba.ts";
import { crossEntropy } from "../../src/ops/crossEntropy.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { openDevice } from "../../src/node.ts";
import type { Device } from "../../src/tensor/device.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import { type Progress, train, type TrainEvent } from "../../src/train/loop.ts";
import { tallyOfClasses } from "../../src/train/objective.ts";
import { schedule } from "../../src/train/schedule.ts";
import { DivergenceError, Trainer } from "../../src/train/trainer.ts";
import { openDevices } from "../devices.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const config = mambaConfig({ vocabulary: 8, dModel: 8, layers: 2, dState: 4 });
const task = inductionHeads({ seed: 1, vocabulary: 8 });
const constant = schedule({ name: "constant", learningRate: 3e-3, warmup: 0, steps: 10 });

async function parametersAfter(
  device: Device,
  steps: number,
  batch = 4,
  length = 10,
): Promise<Float32Array[]> {
  const model = createMamba(device, config, 1);
  const trainer = new Trainer(model);
  for (let i = 0; i < steps; i++) await trainer.step([task.train(i, batch, length)], 3e-3);
  trainer.free();
  const values: Float32Array[] = [];
  for (const tensor of model.parameters.values()) values.push((await tensor.read()) as Float32Array);
  return values;
}

for (const device of devices) {
  test(`${device.name}: training lowers the loss`, async () => {
    const trainer = new Trainer(createMamba(device, config, 1), { weightDecay: 0 });
    const batch = task.train(0, 16, 6);
    const { loss: before } = await trainer.step([batch], 1e-2);
    let after = before;
    for (let i = 0; i < 30; i++) ({ loss: after } = await trainer.step([batch], 1e-2));
    assert.ok(after < before / 2, `from ${before} to ${after}`);
    trainer.free();
  });

  test(`${device.name}: the same seed gives the same bits twice`, async () => {
    assert.deepEqual(await parametersAfter(device, 3), await parametersAfter(device, 3));
  });

  test(`${device.name}: two halves accumulated make the step of the whole`, async () => {
    const whole = task.train(0, 4, 10);
    const half = (from: number) => ({
      batch: 2,
      length: 10,
      tokens: whole.tokens.slice(from * 10, (from + 2) * 10),
      targets: whole.targets.slice(from * 10, (from + 2) * 10),
    });
    const one = new Trainer(createMamba(device, config, 1));
    const two = new Trainer(createMamba(device, config, 1));
    const a = await one.step([whole], 1e-2);
    const b = await two.step([half(0), half(2)], 1e-2);
    assert.ok(Math.abs(a.loss - b.loss) < 1e-6);
    assert.ok(Math.abs(a.gradientNorm - b.gradientNorm) < 1e-5 * a.gradientNorm);
    assert.equal(a.accuracy, b.accuracy);
    one.free();
    two.free();
  });

  test(`${device.name}: a gradient that is not finite stops the step before anything changes`, async () => {
    const model = createMamba(device, config, 1);
    const trainer = new Trainer(model);
    const D = model.parameters.get("layers.1.mixer.D")!;
    D.write(new Float32Array(D.buffer.length).fill(Number.NaN));
    const norm = await model.parameters.get("norm")!.read();
    await assert.rejects(trainer.step([task.train(0, 2, 10)], 1e-3), (error) => {
      const start = "train: step 1 diverged: the loss is NaN, and the gradient of embedding has NaN. Lower";
      return error instanceof DivergenceError && error.message.startsWith(start);
    });
    assert.deepEqual(await model.parameters.get("norm")!.read(), norm);
    trainer.free();
  });

  test(`${device.name}: evaluation in pieces gives the score of the whole`, async () => {
    const model = createMamba(device, config, 1);
    const length = 4097; // one token past what a batch of two does at once
    const score = await evaluate(model, task, { batches: 1, batch: 2, length });
    const { tokens, targets } = task.validation(0, 2, length);
    const { logits } = model.forward(device.integers(tokens, [2, length]));
    const expected = crossEntropy(logits, device.integers(targets, [2, length]));
    assert.ok(Math.abs(score.loss - (await expected.item())) < 1e-6);
    const { sums } = tallyOfClasses(await argmax(logits).read(), targets);
    assert.equal(score.accuracy, sums.accuracy! / 2);
  });
}

for (const name of ["wasm", "native"]) {
  const open = devices.some((device) => device.name === name);
  const skip = open ? false : `${name} does not open here`;
  test(`${name}: one, two and three threads train the same bits`, { skip }, async () => {
    const results: Float32Array[][] = [];
    for (const threads of [1, 2, 3]) {
      const device = await openDevice({ device: name, threads });
      results.push(await parametersAfter(device, 2, 16, 64));
      await device.dispose();
    }
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[2], results[0]);
  });
}

test("a run resumed in the middle equals one that never stopped, bit for bit", async () => {
  const [device] = devices;
  const stages = [
    { batch: 2, length: 6, steps: 3 },
    { batch: 4, length: 9, steps: 4, until: { accuracy: 2, over: 2 } },
  ];
  const options = { stages, schedule: constant, checkpointEvery: 1 };
  const collect = async (trainer: Trainer, from?: Progress, stopAt = Infinity) => {
    const losses: number[] = [];
    let progress: Progress | undefined;
    for await (const event of train(trainer, task, options, from)) {
      if (event.type === "step") losses.push(event.loss);
      if (event.type === "checkpoint") ({ progress } = event);
      if (event.type === "checkpoint" && event.progress.step === stopAt) break;
    }
    return { losses, progress };
  };
  const model = createMamba(device, config, 2);
  const whole = await collect(new Trainer(model));
  const stopped = new Trainer(createMamba(device, config, 2));
  const first = await collect(stopped, undefined, 4);
  const { moments, updates } = stopped.optimizer;
  const resumed = new Trainer(stopped.objective, {}, { moments, updates });
  const second = await collect(resumed, first.progress);
  assert.deepEqual([...first.losses, ...second.losses], whole.losses);
  for (const [name, tensor] of model.parameters) {
    assert.deepEqual(await resumed.model.parameters.get(name)!.read(), await tensor.read(), name);
  }
});

test("a stage ends early when its accuracy is reached, and the next begins", async () => {
  const [device] = devices;
  const stages = [
    { batch: 2, length: 4, steps: 50, until: { accuracy: 0, over: 3 } },
    { batch: 2, length: 5, steps: 2 },
  ];
  const events: TrainEvent[] = [];
  const trainer = new Trainer(createMamba(device, config, 1));
  for await (const event of train(trainer, task, { stages, schedule: constant })) events.push(event);
  const kinds = events.map((event) => (event.type === "step" ? `step of ${event.stage}` : event.type));
  const first = ["stage", "step of 0", "step of 0", "step of 0"];
  assert.deepEqual(kinds, [...first, "stage", "step of 1", "step of 1", "checkpoint", "end"]);
});

test("aborting ends the run after the step with a checkpoint of that moment", async () => {
  const [device] = devices;
  const controller = new AbortController();
  const stages = [{ batch: 2, length: 4, steps: 50 }];
  const trainer = new Trainer(createMamba(device, config, 1));
  const events: TrainEvent[] = [];
  for await (const event of train(trainer, task, { stages, schedule: constant, signal: controller.signal })) {
    events.push(event);
    if (event.type === "step" && event.step === 2) controller.abort();
  }
  const [saved, end] = events.slice(-2);
  assert.ok(saved.type === "checkpoint" && saved.progress.step === 2);
  assert.ok(end.type === "end" && end.reason === "interrupted");
});

test("the memory plan is counted before the first step and holds", () => {
  const [device] = devices;
  const trainer = new Trainer(createMamba(device, config, 1));
  const plan = trainer.plan({ batch: 4, length: 10 });
  assert.equal(plan.parameters, 4 * trainer.model.parameterCount());
  assert.equal(plan.total, plan.parameters + plan.gradients + plan.optimizer + plan.activations);
  assert.ok(trainer.plan({ batch: 8, length: 20 }).activations > plan.activations);
});
