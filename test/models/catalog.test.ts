import assert from "node:assert/strict";
import { after, test } from "node:test";

import {
  createLanguageModel,
  createSequenceModel,
  languageConfig,
  modelKindOf,
  sequenceConfig,
} from "../../src/models/catalog.ts";
import type { LanguageModel } from "../../src/models/languageModel.ts";
import type { NamedTensors } from "../../src/models/layers.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { openDevices } from "../devices.ts";
import { exactDevice } from "../gradcheck.ts";
import { variants } from "./variants.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const vocabulary = 7;
const length = 14;
const ids = Int32Array.from({ length: 2 * length }, (_, i) => (i * i + 3 * i) % vocabulary);
/** What the order of additions may change in float64. */
const tolerance = 1e-9;

function assertClose(got: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assert.equal(got.length, expected.length, what);
  for (let i = 0; i < got.length; i++) {
    const off = Math.abs(got[i] - expected[i]);
    assert.ok(
      off <= tolerance * (1 + Math.abs(expected[i])),
      `${what}: ${got[i]} and ${expected[i]} at ${i}`,
    );
  }
}

/** Positions start to end of both sequences. */
function piece(model: LanguageModel, start: number, end: number) {
  const rows = [0, 1].flatMap((b) => [...ids.subarray(b * length + start, b * length + end)]);
  return model.device.integers(rows, [2, end - start]);
}

for (const { name, model: kind, given } of variants) {
  const config = languageConfig(kind, { dModel: 6, layers: 2, vocabulary, ...given });

  test(`${name}: a whole sequence, its pieces and its steps give the same`, async () => {
    const model = createLanguageModel(exactDevice(), config, 2);
    const whole = await model.forward(piece(model, 0, length)).logits.read();
    const rows = (from: number, to: number) =>
      [0, 1].flatMap((b) =>
        Array.from(whole.subarray((b * length + from) * vocabulary, (b * length + to) * vocabulary)),
      );
    for (const cuts of [
      [0, length],
      [0, 1, 5, length],
    ]) {
      let state: readonly NamedTensors[] = model.initialState(2);
      for (let i = 0; i + 1 < cuts.length; i++) {
        const next = model.forward(piece(model, cuts[i], cuts[i + 1]), { state });
        ({ state } = next);
        assertClose(
          await next.logits.read(),
          rows(cuts[i], cuts[i + 1]),
          `from ${cuts[i]} to ${cuts[i + 1]}`,
        );
      }
    }
    let state: readonly NamedTensors[] = model.initialState(2);
    for (let t = 0; t < length; t++) {
      const next = model.step(model.device.integers([ids[t], ids[length + t]]), state);
      ({ state } = next);
      assertClose(await next.logits.read(), rows(t, t + 1), `step ${t}`);
    }
  });

  // On the GPU in software this would take many minutes: webgpu.test.ts trains fewer models for fewer steps there.
  for (const device of devices.filter((device) => device.name !== "webgpu")) {
    test(`${name} on ${device.name}: one batch is learned by heart`, async () => {
      const model = createLanguageModel(device, languageConfig(kind, { ...config, dModel: 16 }), 2);
      const batch = {
        batch: 2,
        length,
        tokens: ids,
        targets: Int32Array.from(ids, (id, i) => (id + i) % vocabulary),
      };
      const trainer = new Trainer(model, { weightDecay: 0 });
      const { loss: before } = await trainer.step([batch], 1e-2);
      let after = before;
      for (let i = 0; i < 50; i++) ({ loss: after } = await trainer.step([batch], 1e-2));
      assert.ok(after < before / 3, `from ${before} to ${after}`);
      trainer.free();
    });
  }

  test(`${name}: models of series have the same blocks`, () => {
    const sizes = { dModel: 6, layers: 1, inputs: 3, outputs: 2, ...given };
    const model = createSequenceModel(exactDevice(), sequenceConfig(kind, sizes), 1);
    const u = model.device.tensor(new Float64Array(2 * 5 * 3), [2, 5, 3]);
    assert.deepEqual(model.forward(u).y.shape, [2, 2]);
  });
}

test("a model that does not exist is refused with those that do", () => {
  assert.throws(() => modelKindOf("lstm"), {
    name: "UsageError",
    message: /^models: there is no model "lstm"\. There are: mamba/,
  });
});

test("a config says what is wrong with it", () => {
  const given = { dModel: 8, layers: 1, vocabulary: 4 };
  const refused = (more: object, message: string) =>
    assert.throws(() => languageConfig("mamba", { ...given, ...more }), { name: "UsageError", message });
  refused({ norm: "batch" }, 'mamba: norm must be rms or layer, got "batch".');
  refused({ dropout: 1 }, "mamba: dropout must be a number of at least 0 and below 1, got 1.");
  refused({ dState: 0 }, "mamba: dState must be a whole number of at least 1, got 0.");
  refused(
    { vocabulary: undefined },
    "mamba: vocabulary must be a whole number of at least 1, got undefined.",
  );
});
