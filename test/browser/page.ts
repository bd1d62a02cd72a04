import {
  assign,
  capture,
  createMamba,
  type Device,
  inductionHeads,
  languageConfig,
  languageModel,
  mambaConfig,
  openDevice,
  plainDevice,
  random,
  Trainer,
} from "../../src/browser.ts";
import { openDevices } from "./devices.ts";
import { runRegistered } from "./nodeTest.ts";

/** What browser.test.ts calls in the page. */
const calls = {
  /** Runs a test file as the page sees it, where node:test, node:assert and ../devices.ts are those of this folder. */
  async runFile(path: string) {
    await import(path);
    return runRegistered();
  },

  /** The name of the device that opens, or the error. */
  async open(options: Parameters<typeof openDevice>[0]): Promise<string> {
    try {
      const device = await openDevice(options);
      await device.dispose();
      return device.name;
    } catch (error) {
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
  },

  /** Losses and gradient norms of three training steps of a small model of this kind: on the GPU, and by plain loops. */
  async train(kind: string): Promise<{ gpu: number[]; plain: number[] }> {
    const task = inductionHeads({ seed: 1, vocabulary: 8 });
    const numbers = async (device: Device) => {
      const source = random(2);
      const model = languageModel(
        languageConfig(kind, { vocabulary: 8, dModel: 12, layers: 2 }),
        (_, shape, draw) => {
          const length = shape.reduce((a, b) => a * b, 1);
          return device.tensor(
            Float32Array.from({ length }, (_, i) => draw(source, i)),
            shape,
          );
        },
      );
      const trainer = new Trainer(model);
      const found: number[] = [];
      for (let step = 0; step < 3; step++) {
        const { loss, gradientNorm } = await trainer.step([task.train(step, 3, 19)], 1e-2);
        found.push(loss, gradientNorm);
      }
      await device.dispose();
      return found;
    };
    return { gpu: await numbers(await openGpu()), plain: await numbers(plainDevice()) };
  },

  /** Steps until 20 in a row were all right, at most `most`. */
  async learn(most: number): Promise<number> {
    const device = await openGpu();
    const trainer = new Trainer(
      createMamba(device, mambaConfig({ vocabulary: 4, dModel: 16, layers: 2, dState: 4 }), 1),
      { weightDecay: 0 },
    );
    const task = inductionHeads({ seed: 1, vocabulary: 4 });
    let right = 0;
    let step = 0;
    for (; step < most && right < 20; step++) {
      const { accuracy } = await trainer.step([task.train(step, 32, 8)], 1e-2);
      right = accuracy === 1 ? right + 1 : 0;
    }
    await device.dispose();
    return step;
  },

  /**
   * How long the page's thread is busy with one replay of a token's program, in milliseconds: of 24 layers, as the 130m model
   * has, whose sizes do not count here. The least of many: others have the cores, too.
   */
  async replay(): Promise<number> {
    const device = await openGpu();
    const model = createMamba(device, mambaConfig({ vocabulary: 64, dModel: 16, layers: 24 }), 1);
    const state = model.initialState(1);
    const token = device.integers([0], [1]);
    const program = capture(device, () => {
      const next = model.step(token, state);
      for (const [i, layer] of next.state.entries()) {
        for (const [name, tensor] of Object.entries(layer)) assign(state[i][name], tensor);
      }
      return next.logits;
    });
    let least = Infinity;
    for (let i = 0; i < 40; i++) {
      const started = performance.now();
      program.run();
      await Promise.resolve(); // the commands of the next run are made in a microtask
      least = Math.min(least, performance.now() - started);
      await program.result.read();
    }
    await device.dispose();
    return least;
  },
};

async function openGpu(): Promise<Device> {
  return (await openDevices())[0];
}

export type Calls = typeof calls;
Object.assign(globalThis, { calls });
