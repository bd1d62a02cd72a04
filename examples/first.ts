import {
  createMamba,
  evaluate,
  inductionHeads,
  mambaConfig,
  openDevice,
  schedule,
  train,
  Trainer,
} from "statewise/node";

const device = await openDevice(); // native, wasm or plain: the fastest here
const task = inductionHeads({ seed: 1, vocabulary: 8 }); // say again what followed the special token
const model = createMamba(device, mambaConfig({ vocabulary: 8, dModel: 32, layers: 2 }), 1);
const stages = [{ batch: 32, length: 16, steps: 600, until: { accuracy: 0.995, over: 20 } }];
const rate = schedule({ name: "constant", learningRate: 4e-3, warmup: 0, steps: 600 });
for await (const event of train(new Trainer(model, { weightDecay: 0 }), task, { stages, schedule: rate })) {
  if (event.type === "step" && event.step % 50 === 0)
    console.log(event.step, event.loss.toFixed(3), event.accuracy);
}
console.log(await evaluate(model, task, { batches: 4, batch: 32, length: 16 }));
await device.dispose();
