import assert from "node:assert/strict";
import { test } from "node:test";
import { halveWeights } from "../../src/generate/halves.ts";
import { createMamba, mambaConfig } from "../../src/models/mamba.ts";
import { createLanguageModel, languageConfig } from "../../src/models/catalog.ts";
import { openDevice } from "../../src/node.ts";
import { assertNear } from "../compareCalls.ts";

test("a model with f16 weights says nearly the same, and keeps what is no weight of a product as it was", async () => {
  const device = await openDevice({ device: "plain" });
  const model = createMamba(device, mambaConfig({ vocabulary: 11, dModel: 16, layers: 2 }), 3);
  const tokens = device.integers([1, 5, 2, 7, 7, 0], [1, 6]);
  const before = await model.forward(tokens).logits.read();
  const stored = await halveWeights(model);
  const halves = [...model.parameters].filter(([, { dtype }]) => dtype === "f16").map(([name]) => name);
  assert.deepEqual(
    halves.filter((name) => !name.startsWith("layers.1")),
    ["embedding", ...["inX", "inZ", "out", "xProj", "dtProj"].map((name) => `layers.0.mixer.${name}`)].sort(
      (a, b) => halves.indexOf(a) - halves.indexOf(b),
    ),
  );
  assert.equal(
    stored,
    [...model.parameters.values()].reduce(
      (sum, { dtype, buffer }) => sum + (dtype === "f16" ? buffer.length : 0),
      0,
    ),
  );
  const after = await model.forward(tokens).logits.read();
  assertNear("logits", after, before, 2e-3);
  assert.notDeepEqual(after, before);
});

test("a Transformer's weights can be halved too", async () => {
  const device = await openDevice({ device: "plain" });
  const config = languageConfig("transformer", { vocabulary: 11, dModel: 16, layers: 1 });
  const model = createLanguageModel(device, config, 0);
  assert.ok((await halveWeights(model)) > model.parameterCount() / 2);
});

test("a device that stores no f16 says so and leaves the model as it was", async () => {
  const device = await openDevice({ device: "wasm", threads: 1 });
  const model = createMamba(device, mambaConfig({ vocabulary: 11, dModel: 16, layers: 1 }), 3);
  await assert.rejects(halveWeights(model), {
    name: "DeviceError",
    message: "wasm: stores no f16. Use f32 weights, or the webgpu device.",
  });
  assert.ok([...model.parameters.values()].every(({ dtype }) => dtype === "f32"));
  await device.dispose();
});
