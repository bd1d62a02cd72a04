/** Learns to write like its own source, then writes: bytes in, bytes out, in a few seconds. */
import { readFileSync } from "node:fs";
import {
  createMamba,
  encodeBytes,
  generateText,
  mambaConfig,
  openDevice,
  schedule,
  textTask,
  train,
  Trainer,
} from "statewise/node";

const device = await openDevice();
const bytes = readFileSync(process.argv[2] ?? "docs/architecture.md");
const model = createMamba(device, mambaConfig({ vocabulary: 256, dModel: 64, layers: 2 }), 1);
const options = {
  stages: [{ batch: 8, length: 128, steps: 60 }],
  schedule: schedule({ name: "cosine", learningRate: 5e-3, warmup: 10, steps: 60 }),
};
for await (const event of train(new Trainer(model), textTask(bytes, { seed: 1 }), options)) {
  if (event.type === "step" && event.step % 20 === 0)
    console.log(`step ${event.step}, loss ${event.loss.toFixed(2)}`);
}
for await (const piece of generateText(model, encodeBytes("The "), {
  maxTokens: 120,
  temperature: 0.8,
  seed: 3,
})) {
  process.stdout.write(piece);
}
console.log();
await device.dispose();
