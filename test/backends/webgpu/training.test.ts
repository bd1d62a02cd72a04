import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { WebGpuBackend } from "../../../src/backends/webgpu/backend.ts";
import {
  createMamba,
  Decoder,
  evaluate,
  inductionHeads,
  mambaConfig,
  openDevice,
  schedule,
  train,
  Trainer,
} from "../../../src/node.ts";

const device = await openDevice({ device: "webgpu" });
const backend = device.backend as WebGpuBackend;
after(() => device.dispose());

/** 10 000 on a real GPU, where it takes a minute; the software GPU of every test run is a thousand times slower. */
const many = Number(process.env.STATEWISE_TEST_STEPS ?? 200);

test("a small Mamba learns induction heads on the GPU, to 100 %", async () => {
  const task = inductionHeads({ seed: 1, vocabulary: 4 });
  const model = createMamba(device, mambaConfig({ vocabulary: 4, dModel: 12, layers: 2, dState: 4 }), 1);
  const trainer = new Trainer(model, { weightDecay: 0 });
  const stages = [{ batch: 32, length: 8, steps: 200, until: { accuracy: 0.995, over: 15 } }];
  const rate = schedule({ name: "constant", learningRate: 1e-2, warmup: 0, steps: 200 });
  for await (const event of train(trainer, task, { stages, schedule: rate })) {
    if (event.type === "end") assert.equal(event.reason, "finished");
  }
  const { accuracy } = await evaluate(model, task, { batches: 4, batch: 32, length: 8 });
  assert.equal(accuracy, 1);
  trainer.free();
});

test("many training steps leave no more buffers than one", async () => {
  const task = inductionHeads({ seed: 1, vocabulary: 8 });
  const config = mambaConfig({ vocabulary: 8, dModel: 4, layers: 1, dState: 2 });
  const trainer = new Trainer(createMamba(device, config, 1), {});
  const batch = task.train(0, 1, 4);
  await trainer.step([batch], 1e-3);
  await trainer.step([batch], 1e-3);
  const before = backend.use();
  for (let step = 0; step < many; step++) await trainer.step([batch], 1e-3);
  expectNoMore(before);
  trainer.free();
});

test("many generated tokens leave no more buffers than one", async () => {
  const model = createMamba(device, mambaConfig({ vocabulary: 8, dModel: 4, layers: 1, dState: 2 }), 1);
  const decoder = new Decoder(model);
  await decoder.prefill([1, 2, 3]);
  await decoder.step(1);
  const before = backend.use();
  for (let i = 0; i < many; i++) await decoder.step(i % 8);
  expectNoMore(before);
  decoder.free();
});

/** What earlier tests left may be collected meanwhile, so there may be fewer buffers, never more. */
function expectNoMore(before: ReturnType<WebGpuBackend["use"]>): void {
  const now = backend.use();
  for (const key of ["buffers", "bytes", "heldBytes"] as const)
    assert.ok(now[key] <= before[key], `${now[key]} ${key}, before ${before[key]}`);
}
