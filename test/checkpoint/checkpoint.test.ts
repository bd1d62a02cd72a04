import assert from "node:assert/strict";
import { test } from "node:test";

import { loadModel, loadTraining, saveModel, saveTraining } from "../../src/checkpoint/checkpoint.ts";
import type { Files } from "../../src/checkpoint/files.ts";
import { memoryFiles } from "../../src/checkpoint/memoryFiles.ts";
import { isOfficial } from "../../src/checkpoint/pretrained.ts";
import { openSafetensors, type TensorData, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { plainDevice } from "../../src/index.ts";
import { createMamba, mambaConfig } from "../../src/models/mamba.ts";

const device = plainDevice();
const config = mambaConfig({ vocabulary: 9, dModel: 6, layers: 2, dState: 3, bias: true, tiedHead: false });

async function saved(): Promise<Files> {
  const files = memoryFiles();
  await saveModel(files, "m", createMamba(device, config, 1));
  return files;
}

/** Writes the model file again with some tensors changed; undefined takes one out. */
async function withTensors(files: Files, changes: Record<string, TensorData | undefined>): Promise<void> {
  const path = "m/model.safetensors";
  const stored = await openSafetensors(files, path);
  const tensors = new Map<string, TensorData>();
  for (const name of stored.names) tensors.set(name, await stored.read(name));
  for (const [name, data] of Object.entries(changes)) {
    if (data) tensors.set(name, data);
    else tensors.delete(name);
  }
  await files.write(path, writeSafetensors(tensors));
}

test("a model comes back as it was saved, its sizes read off the tensors", async () => {
  const model = createMamba(device, config, 1);
  const { model: read, notes } = await loadModel(device, await saved(), "m");
  assert.deepEqual(read.config, config);
  assert.deepEqual(notes, []);
  assert.deepEqual([...read.parameters.keys()].sort(), [...model.parameters.keys()].sort());
  for (const [name, tensor] of model.parameters) {
    assert.deepEqual(await read.parameters.get(name)!.read(), await tensor.read(), name);
  }
});

test("official tensors are the transposes of ours, x stacked over z", async () => {
  const model = createMamba(device, config, 1);
  const stored = await openSafetensors(await saved(), "m/model.safetensors");
  const { shape, data } = await stored.read("backbone.layers.1.mixer.in_proj.weight");
  assert.deepEqual(shape, [24, 6]);
  const inX = await model.parameters.get("layers.1.mixer.inX")!.read(); // (6, 12)
  const inZ = await model.parameters.get("layers.1.mixer.inZ")!.read();
  assert.equal(data[5 * 6 + 2], inX[2 * 12 + 5]); //        row 5, column 2
  assert.equal(data[(12 + 7) * 6 + 3], inZ[3 * 12 + 7]); // row 7 of z, column 3
});

test("a config that disagrees with the tensors is noted, and the tensors are believed", async () => {
  const files = await saved();
  const text = new TextDecoder().decode(await files.read("m/config.json"));
  await files.write("m/config.json", new TextEncoder().encode(text.replace('"expand": 2', '"expand": 16')));
  const { model, notes } = await loadModel(device, files, "m");
  assert.ok(isOfficial(model));
  assert.equal(model.config.expand, 2);
  assert.deepEqual(notes, ["config.json says expand 16, the tensors say 2"]);
});

test("a missing tensor is named", async () => {
  const files = await saved();
  await withTensors(files, { "backbone.layers.1.mixer.D": undefined });
  await assert.rejects(loadModel(device, files, "m"), {
    name: "FormatError",
    message: 'm/model.safetensors: no tensor "backbone.layers.1.mixer.D". Is the file complete?',
  });
});

test("a tensor too many is named", async () => {
  const files = await saved();
  await withTensors(files, { "backbone.extra": { shape: [1], data: Float32Array.of(1) } });
  await assert.rejects(loadModel(device, files, "m"), {
    name: "FormatError",
    message:
      'm/model.safetensors: holds 1 tensors that a Mamba does not have, such as "backbone.extra". ' +
      "Is this another kind of checkpoint?",
  });
});

test("a wrong shape and a wrong dtype are named", async () => {
  const files = await saved();
  const name = "backbone.layers.0.mixer.D";
  await withTensors(files, { [name]: { shape: [13], data: new Float32Array(13) } });
  await assert.rejects(loadModel(device, files, "m"), {
    message: `m/model.safetensors: "${name}" must have shape (12), got (13).`,
  });
  await withTensors(files, { [name]: { shape: [12], data: new Int32Array(12) } });
  await assert.rejects(loadModel(device, files, "m"), {
    message: `m/model.safetensors: "${name}" must hold F32, F16 or BF16, got I32.`,
  });
});

test("a layer number out of all proportion is refused before anything is made", async () => {
  const files = await saved();
  await withTensors(files, {
    "backbone.layers.900000000.norm.weight": { shape: [6], data: new Float32Array(6) },
  });
  await assert.rejects(loadModel(device, files, "m"), /FormatError: .*names layer 900000000 but holds only/);
});

test("another model type is refused by name", async () => {
  const files = await saved();
  await files.write("m/config.json", new TextEncoder().encode('{"model_type": "mamba2"}'));
  await assert.rejects(loadModel(device, files, "m"), {
    message:
      'm/model.safetensors: model_type must be "mamba", got "mamba2". Other models cannot be read yet.',
  });
});

test("a training run comes back with moments and progress, and the model alone opens too", async () => {
  const files = memoryFiles();
  const model = createMamba(device, config, 1);
  const moments = (scale: number) =>
    new Map(
      [...model.parameters].map(([name, { shape, buffer }]) => [
        name,
        device.tensor(
          Float32Array.from({ length: buffer.length }, (_, i) => scale * i),
          shape,
        ),
      ]),
    );
  const training = { step: 7, settings: { seed: 1 } };
  await saveTraining(files, "runs/a", 7, { model, m: moments(1), v: moments(2), training });
  const read = await loadTraining(device, files, "runs/a");
  assert.ok(read);
  assert.deepEqual(read.training, training);
  assert.deepEqual(await read.v.get("norm")!.read(), Float32Array.of(0, 2, 4, 6, 8, 10));
  const { model: alone } = await loadModel(device, files, "runs/a");
  assert.deepEqual(await alone.parameters.get("head")!.read(), await model.parameters.get("head")!.read());
  assert.equal(await loadTraining(device, files, "runs/none"), null);
});
