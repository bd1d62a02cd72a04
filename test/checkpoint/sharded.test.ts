import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";

import { diskFiles } from "../../src/checkpoint/diskFiles.ts";
import type { Files } from "../../src/checkpoint/files.ts";
import { memoryFiles } from "../../src/checkpoint/memoryFiles.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { openCheckpoint } from "../../src/checkpoint/sharded.ts";
import { FormatError } from "../../src/tensor/errors.ts";

const goldens = fileURLToPath(new URL("../../../../shared/goldens", import.meta.url));
const skip = existsSync(goldens) ? false : "there is no ../shared/goldens";
const damaged = "The file is damaged or of another format: download or save it again.";

const shard = (...names: string[]) =>
  writeSafetensors(
    new Map(names.map((name) => [name, { shape: [1], data: Float32Array.of(name.charCodeAt(0)) }])),
  );

/** Shard 1 holds a and b, shard 2 holds c, and the index says what is asked. */
async function checkpointOf(index: unknown): Promise<Files> {
  const files = memoryFiles();
  await files.write("model/1.safetensors", shard("a", "b"));
  await files.write("model/2.safetensors", shard("c"));
  const text = typeof index === "string" ? index : JSON.stringify(index);
  await files.write("model/model.safetensors.index.json", new TextEncoder().encode(text));
  return files;
}

const good = { a: "1.safetensors", c: "2.safetensors", b: "1.safetensors" };

test("tensors of several shards are read as if they were one file", async () => {
  const files = await checkpointOf({ metadata: { total_size: 12, by: "hand" }, weight_map: good });
  const stored = await openCheckpoint(files, "model");
  assert.equal(stored.path, "model");
  assert.deepEqual(stored.names, ["a", "c", "b"]);
  assert.deepEqual(Object.fromEntries(stored.metadata), { total_size: "12", by: "hand" });
  for (const name of stored.names) {
    assert.deepEqual(stored.info(name).shape, [1]);
    assert.deepEqual(await stored.read(name), { shape: [1], data: Float32Array.of(name.charCodeAt(0)) });
  }
});

test("a whole file goes before an index", async () => {
  const files = await checkpointOf({ weight_map: good });
  await files.write("model/model.safetensors", shard("w"));
  assert.deepEqual((await openCheckpoint(files, "model")).names, ["w"]);
});

test("a tensor that the index does not name is not there, even if a shard has it", async () => {
  const stored = await openCheckpoint(await checkpointOf({ weight_map: { a: "1.safetensors" } }), "model");
  const refused = {
    name: "FormatError",
    message:
      'model/model.safetensors.index.json: no tensor "b". It holds others, such as "a": is this another kind of checkpoint?',
  };
  assert.throws(() => stored.info("b"), refused);
  await assert.rejects(stored.read("b"), refused);
});

test("a directory without tensors is refused with what it has", async () => {
  const files = memoryFiles();
  await files.write("model/pytorch_model.bin", new Uint8Array());
  await assert.rejects(openCheckpoint(files, "model"), {
    name: "FormatError",
    message:
      'model: must hold model.safetensors or model.safetensors.index.json, got ["pytorch_model.bin"]. ' +
      "Is this the directory of a checkpoint?",
  });
  await assert.rejects(openCheckpoint(memoryFiles(), ""), {
    message:
      "the directory: must hold model.safetensors or model.safetensors.index.json, got []. " +
      "Is this the directory of a checkpoint?",
  });
});

test("an index that does not match its shards is refused", async () => {
  const refuses = async (index: unknown, message: string) =>
    assert.rejects(openCheckpoint(await checkpointOf(index), "model"), {
      name: "FormatError",
      message: `model/model.safetensors.index.json: ${message}`,
    });
  await refuses(
    { weight_map: { ...good, d: "3.safetensors" } },
    'the shard "3.safetensors" must lie beside it, got no such file. Download the missing file.',
  );
  await refuses(
    { weight_map: { ...good, d: "2.safetensors" } },
    'tensor "d" must be in model/2.safetensors, got a shard without it. ' +
      "Download or save all files of the checkpoint again.",
  );
  for (const file of ["../secret.safetensors", "/etc/passwd", "a/../../b", "", 5, null]) {
    const message = `tensor "d" must be in a file below the same directory, got ${JSON.stringify(file)}. ${damaged}`;
    await refuses({ weight_map: { ...good, d: file } }, message);
  }
  await refuses({ weight_map: [] }, `weight_map must map tensors to files, got []. ${damaged}`);
  await refuses({}, `weight_map must map tensors to files, got nothing. ${damaged}`);
  await refuses('{"weight_map":', `the index must be JSON, got other text. ${damaged}`);
  await refuses(
    '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}',
    `the index must name each key once, got "a" twice. ${damaged}`,
  );
});

test("a damaged shard is refused by its own name", async () => {
  const files = await checkpointOf({ weight_map: good });
  await files.write("model/2.safetensors", shard("c").subarray(0, -1));
  await assert.rejects(openCheckpoint(files, "model"), {
    name: "FormatError",
    message:
      'model/2.safetensors: the data of tensor "c" must end within the 3 bytes of data, got 4. ' + damaged,
  });
});

test("an absurdly long index is refused before it is read", async () => {
  const files = await checkpointOf({ weight_map: good });
  const huge: Files = {
    ...files,
    size: async (path) => (path.endsWith("index.json") ? 1e9 : files.size(path)),
    read: async () => assert.fail("was read"),
  };
  await assert.rejects(openCheckpoint(huge, "model"), {
    name: "FormatError",
    message: `model/model.safetensors.index.json: must be at most 100000000 bytes long, got 1000000000. ${damaged}`,
  });
});

test("any index is a checkpoint or a FormatError", async () => {
  const name = fc.constantFrom("a", "b", "c", "d", "__proto__", "toString");
  const file = fc.oneof(fc.constantFrom("1.safetensors", "2.safetensors", "..", "toString"), fc.jsonValue());
  const map = fc.oneof(fc.dictionary(name, file), fc.jsonValue());
  const index = fc.oneof(fc.record({ weight_map: map, metadata: fc.jsonValue() }), fc.jsonValue());
  const property = fc.asyncProperty(index, async (value) => {
    try {
      const stored = await openCheckpoint(await checkpointOf(value), "model");
      for (const tensor of stored.names) await stored.read(tensor);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  });
  await fc.assert(property, { numRuns: 500 });
});

test("a sharded checkpoint of the reference library is read in full", { skip }, async () => {
  const stored = await openCheckpoint(diskFiles(goldens), "mamba_hf_d32_sharded");
  let count = 0;
  for (const name of stored.names) {
    const { shape, data } = await stored.read(name);
    assert.equal(
      data.length,
      shape.reduce((a, b) => a * b, 1),
    );
    assert.ok(data.every(Number.isFinite));
    count += data.length;
  }
  assert.equal(String(count), stored.metadata.get("total_parameters"));
});
