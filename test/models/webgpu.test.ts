import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createLanguageModel, languageConfig } from "../../src/models/catalog.ts";
import type { NamedTensors } from "../../src/models/layers.ts";
import { openDevice } from "../../src/node.ts";
import type { Device } from "../../src/tensor/device.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { assertNear } from "../compareCalls.ts";
import { variants } from "./variants.ts";

const gpu = await openDevice({ device: "webgpu" });
const plain = await openDevice({ device: "plain" });
after(() => gpu.dispose());

/** One model of each kind: on the GPU in software each takes seconds to compile. */
const names = [
  "Mamba, as published",
  "S4, as published",
  "S4D-lin, zoh",
  "LSSL, everything trained",
  "HiPPO, RNN",
  "Transformer",
];
const chosen = names.map((name) => variants.find((variant) => variant.name === name)!); // they are there

const vocabulary = 7;
const length = 10;
const ids = Int32Array.from({ length: 2 * length }, (_, i) => (i * i + 3 * i) % vocabulary);

/** Sums of a few dozen terms near 1, in another order and by other functions. */
const tolerance = 5e-5;

function modelOn(device: Device, { model, given }: (typeof chosen)[number]) {
  return createLanguageModel(
    device,
    languageConfig(model, { dModel: 6, layers: 1, vocabulary, ...given }),
    2,
  );
}

async function losses(device: Device, variant: (typeof chosen)[number]): Promise<number[]> {
  const trainer = new Trainer(modelOn(device, variant), { weightDecay: 0 });
  const targets = Int32Array.from(ids, (id, i) => (id + i) % vocabulary);
  const batch = { batch: 2, length, tokens: ids, targets };
  const found: number[] = [];
  for (let step = 0; step < 3; step++) {
    const { loss, gradientNorm } = await trainer.step([batch], 1e-2);
    found.push(loss, gradientNorm);
  }
  trainer.free();
  return found;
}

for (const variant of chosen) {
  test(`${variant.name}: training steps on the GPU are those of the plain loops, and the same bits in every run`, async () => {
    const expected = await losses(plain, variant);
    const found = await losses(gpu, variant);
    assertNear("losses and norms", Float64Array.from(found), Float64Array.from(expected), tolerance);
    assert.deepEqual(await losses(gpu, variant), found);
  });

  test(`${variant.name}: on the GPU a whole sequence, its pieces and its steps give the same within rounding`, async () => {
    const model = modelOn(gpu, variant);
    const piece = (start: number, end: number) =>
      gpu.integers(
        [0, 1].flatMap((b) => [...ids.subarray(b * length + start, b * length + end)]),
        [2, end - start],
      );
    const whole = await model.forward(piece(0, length)).logits.read();
    const rows = (start: number, end: number) =>
      [0, 1].flatMap((b) => [
        ...whole.subarray((b * length + start) * vocabulary, (b * length + end) * vocabulary),
      ]);
    let state: readonly NamedTensors[] = model.initialState(2);
    for (const [start, end] of [
      [0, 3],
      [3, 9],
      [9, 10],
    ]) {
      const next = model.forward(piece(start, end), { state });
      ({ state } = next);
      const expected = Float64Array.from(rows(start, end));
      assertNear(`from ${start} to ${end}`, await next.logits.read(), expected, tolerance);
    }
    state = model.initialState(2);
    for (let t = 0; t < length; t++) {
      const next = model.step(gpu.integers([ids[t], ids[length + t]]), state);
      ({ state } = next);
      assertNear(`step ${t}`, await next.logits.read(), Float64Array.from(rows(t, t + 1)), tolerance);
    }
  });
}
