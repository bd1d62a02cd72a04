/** Trains in a Worker: whatever the device, the page stays responsive. */
import { createMamba, inductionHeads, mambaConfig, openDevice, Trainer } from "statewise/browser";

/** What the page is told. */
export type News =
  | { readonly type: "begin"; readonly device: string; readonly parameters: number }
  | { readonly type: "step"; readonly loss: number; readonly accuracy: number; readonly perSecond: number }
  | { readonly type: "error"; readonly message: string };

const tell = (news: News) => postMessage(news);
const [vocabulary, batch, length, learningRate] = [8, 32, 16, 4e-3];

addEventListener("message", async ({ data }: MessageEvent<string>) => {
  try {
    const device = await openDevice(data === "" ? {} : { device: data });
    const model = createMamba(device, mambaConfig({ vocabulary, dModel: 32, layers: 2 }), 0);
    const trainer = new Trainer(model, { weightDecay: 0 });
    const task = inductionHeads({ seed: 0, vocabulary });
    tell({ type: "begin", device: device.name, parameters: model.parameterCount() });
    for (let step = 0; ; step++) {
      const started = performance.now();
      const { loss, accuracy = 0 } = await trainer.step([task.train(step, batch, length)], learningRate);
      tell({ type: "step", loss, accuracy, perSecond: 1000 / (performance.now() - started) });
    }
  } catch (error) {
    tell({ type: "error", message: error instanceof Error ? error.message : String(error) });
  }
});
