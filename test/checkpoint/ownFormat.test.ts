import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import { loadModel, loadTraining, saveModel, saveTraining } from "../../src/checkpoint/checkpoint.ts";
import { memoryFiles } from "../../src/checkpoint/memoryFiles.ts";
import { openSafetensors, type TensorData, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { inductionHeads } from "../../src/data/inductionHeads.ts";
import { plainDevice } from "../../src/index.ts";
import {
  createLanguageModel,
  createSequenceModel,
  languageConfig,
  sequenceConfig,
} from "../../src/models/catalog.ts";
import { LanguageModel } from "../../src/models/languageModel.ts";
import { FormatError } from "../../src/tensor/errors.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { variants } from "../models/variants.ts";

const device = plainDevice();
const sizes = { dModel: 6, layers: 2 };

for (const { name, model: kind, given } of variants) {
  test(`${name}: a language model comes back as it was saved`, async () => {
    const config = languageConfig(kind, { ...sizes, vocabulary: 5, ...given });
    const model = createLanguageModel(device, config, 1);
    const files = memoryFiles();
    await saveModel(files, "m", model);
    const { model: read, notes } = await loadModel(device, files, "m");
    assert.ok(read instanceof LanguageModel);
    assert.deepEqual(read.config, config);
    assert.deepEqual(notes, []);
    assert.deepEqual([...read.parameters.keys()], [...model.parameters.keys()]);
    for (const [name, tensor] of model.parameters) {
      assert.deepEqual(await read.parameters.get(name)!.read(), await tensor.read(), name);
    }
  });

  test(`${name}: a model of series comes back as it was saved`, async () => {
    const config = sequenceConfig(kind, { ...sizes, inputs: 2, outputs: 3, readout: "each", ...given });
    const model = createSequenceModel(device, config, 1);
    const files = memoryFiles();
    await saveModel(files, "m", model);
    const { model: read } = await loadModel(device, files, "m");
    assert.deepEqual(read.config, config);
    for (const [name, tensor] of model.parameters) {
      assert.deepEqual(await read.parameters.get(name)!.read(), await tensor.read(), name);
    }
  });

  test(`${name}: training goes on from a checkpoint, bit for bit`, async () => {
    const task = inductionHeads({ seed: 1, vocabulary: 5 });
    const config = languageConfig(kind, { ...sizes, vocabulary: 5, dropout: 0.2, ...given });
    const step = (trainer: Trainer, i: number) => trainer.step([task.train(i, 2, 6)], 1e-2);
    const whole = new Trainer(createLanguageModel(device, config, 1), { seed: 4 });
    for (let i = 0; i < 4; i++) await step(whole, i);

    const stopped = new Trainer(createLanguageModel(device, config, 1), { seed: 4 });
    for (let i = 0; i < 2; i++) await step(stopped, i);
    const files = memoryFiles();
    const { m, v } = stopped.optimizer.moments;
    await saveTraining(files, "run", 2, { model: stopped.model, m, v, training: {} });
    const saved = await loadTraining(device, files, "run");
    assert.ok(saved?.model instanceof LanguageModel);
    const resumed = new Trainer(saved.model, { seed: 4 }, { moments: saved, updates: 2 });
    for (let i = 2; i < 4; i++) await step(resumed, i);
    for (const [name, tensor] of whole.model.parameters) {
      assert.deepEqual(await resumed.model.parameters.get(name)!.read(), await tensor.read(), name);
    }
  });
}

const { model: anyKind, given: anyGiven } = variants[variants.length - 1];

/** A model of the last variant, as files, its config with changes; undefined takes a field out. */
async function withConfig(changes: Readonly<Record<string, unknown>>) {
  const files = memoryFiles();
  const given = { ...sizes, vocabulary: 5, ...anyGiven };
  await saveModel(files, "m", createLanguageModel(device, languageConfig(anyKind, given), 1));
  const config = JSON.parse(new TextDecoder().decode(await files.read("m/config.json"))) as object;
  await files.write("m/config.json", new TextEncoder().encode(JSON.stringify({ ...config, ...changes })));
  return files;
}

test("a config that makes no model is refused by field", async () => {
  const refused = async (changes: object, message: string) =>
    assert.rejects(loadModel(device, await withConfig({ ...changes }), "m"), {
      name: "FormatError",
      message,
    });
  const later = "Was it made by a later version?";
  await refused({ model: 3 }, `m/config.json: model must be the name of a model, got 3. ${later}`);
  await refused({ speed: 1 }, `m/config.json: a ${anyKind} has no "speed". ${later}`);
  await refused(
    { dModel: -6 },
    `m/config.json: ${anyKind}: dModel must be a whole number of at least 1, got -6. ${later}`,
  );
});

test("a model that is not there is refused with those that are", async () => {
  await assert.rejects(loadModel(device, await withConfig({ model: "lstm" }), "m"), (error) => {
    return (
      error instanceof FormatError &&
      error.message.startsWith('m/config.json: models: there is no model "lstm"')
    );
  });
});

test("sizes that the tensors do not have are refused before memory is asked for", async () => {
  for (const huge of [
    { layers: 2 ** 40 },
    { dModel: 2 ** 40 },
    { vocabulary: 2 ** 40 },
    { dState: 2 ** 40 },
  ]) {
    await assert.rejects(loadModel(device, await withConfig(huge), "m"), { name: "FormatError" });
  }
});

test("a tensor that is missing or too many is named", async () => {
  const files = await withConfig({});
  const stored = await openSafetensors(files, "m/model.safetensors");
  const tensors = new Map<string, TensorData>();
  for (const name of stored.names) tensors.set(name, await stored.read(name));
  const norm = tensors.get("norm")!; // every model of the variants that is last has one
  tensors.delete("norm");
  await files.write("m/model.safetensors", writeSafetensors(tensors));
  await assert.rejects(loadModel(device, files, "m"), {
    message: 'm/model.safetensors: no tensor "norm". Is the file complete?',
  });
  await files.write(
    "m/model.safetensors",
    writeSafetensors(new Map([...tensors, ["norm", norm], ["extra", norm]])),
  );
  await assert.rejects(
    loadModel(device, files, "m"),
    /holds 1 tensors that a .* does not have, such as "extra"/,
  );
});

test("any JSON in place of a field is a model or a FormatError", async () => {
  const fields = ["model", "dModel", "layers", "vocabulary", "norm", "tiedHead", "outputs", "__proto__"];
  const property = fc.asyncProperty(fc.constantFrom(...fields), fc.jsonValue(), async (name, value) => {
    const files = await withConfig({});
    const text = new TextDecoder().decode(await files.read("m/config.json"));
    const entries = Object.entries(JSON.parse(text) as object).filter(([own]) => own !== name);
    const changed = [...entries, [name, value]].map(
      ([key, one]) => `${JSON.stringify(key)}:${JSON.stringify(one)}`,
    );
    await files.write("m/config.json", new TextEncoder().encode(`{${changed.join(",")}}`));
    try {
      await loadModel(device, files, "m");
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      assert.ok(error.message.length < 1000);
    }
  });
  await fc.assert(property, { numRuns: 200 });
});
