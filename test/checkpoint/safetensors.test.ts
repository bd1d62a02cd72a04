import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";

import { diskFiles } from "../../src/checkpoint/diskFiles.ts";
import type { Files } from "../../src/checkpoint/files.ts";
import { memoryFiles } from "../../src/checkpoint/memoryFiles.ts";
import { openSafetensors, writeSafetensors, type TensorData } from "../../src/checkpoint/safetensors.ts";
import type { StoredNumbers } from "../../src/checkpoint/storage.ts";
import { fileOf, holding } from "./tensorFiles.ts";

const goldens = fileURLToPath(new URL("../../../../shared/goldens", import.meta.url));
const damaged = "The file is damaged or of another format: download or save it again.";

const open = async (bytes: Uint8Array) => openSafetensors(await holding(bytes), "m.safetensors");

const numbersOf = (count: number): fc.Arbitrary<StoredNumbers> => {
  const exactly = { minLength: count, maxLength: count };
  return fc.oneof(
    fc.float32Array(exactly),
    fc.float64Array(exactly),
    fc.int32Array(exactly),
    fc.uint8Array(exactly),
  );
};

const anyTensor = fc
  .array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })
  .chain((shape) => numbersOf(shape.reduce((a, b) => a * b, 1)).map((data): TensorData => ({ shape, data })));

const anyName = fc
  .oneof(fc.string({ unit: "binary" }), fc.constantFrom("constructor", "toString", "7", "__metadata__.x"))
  .filter((name) => name !== "__proto__" && name !== "__metadata__");

const anyTensors = fc
  .uniqueArray(fc.tuple(anyName, anyTensor), { selector: ([name]) => name, maxLength: 6 })
  .map((tensors) => new Map(tensors));

const anyMetadata = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), {
  noNullPrototype: true,
});

test("the bytes of a small file are those of the format", () => {
  const tensors = new Map([["w", { shape: [2], data: Float32Array.of(1, -2) }]]);
  const header = '{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   ';
  assert.equal(header.length % 8, 0);
  const expected = fileOf(header, 8);
  expected.set([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], 8 + header.length);
  assert.deepEqual(writeSafetensors(tensors, { format: "pt" }), expected);
});

test("what is written is read back equal, with names, shapes, dtypes and metadata", async () => {
  const property = fc.asyncProperty(anyTensors, anyMetadata, async (tensors, metadata) => {
    const stored = await open(writeSafetensors(tensors, metadata));
    assert.deepEqual(new Set(stored.names), new Set(tensors.keys()));
    assert.deepEqual(new Map(stored.metadata), new Map(Object.entries(metadata)));
    for (const [name, { shape, data }] of tensors) {
      const read = await stored.read(name);
      assert.deepEqual(read, { shape, data });
      assert.deepEqual(stored.info(name).shape, shape);
    }
  });
  await fc.assert(property);
});

test("the order in which tensors and metadata come does not change a byte", () => {
  const property = fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
    const reversed = Object.fromEntries(Object.entries(metadata).reverse());
    assert.deepEqual(
      writeSafetensors(new Map([...tensors].reverse()), reversed),
      writeSafetensors(tensors, metadata),
    );
  });
  fc.assert(property);
});

test("every tensor begins at a multiple of its numbers' width, for readers that map the file", async () => {
  const property = fc.asyncProperty(anyTensors, async (tensors) => {
    const bytes = writeSafetensors(tensors);
    const headerSize = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.equal(headerSize % 8, 0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerSize)));
    for (const [name, { data }] of tensors) {
      assert.equal(header[name].data_offsets[0] % data.BYTES_PER_ELEMENT, 0);
    }
  });
  await fc.assert(property);
});

test("tensors are read one by one: opening reads the header only", async () => {
  const tensors = new Map(["a", "b"].map((name) => [name, { shape: [1000], data: new Float32Array(1000) }]));
  const files = await holding(writeSafetensors(tensors));
  let bytesRead = 0;
  const counting: Files = {
    ...files,
    async read(path, start, end) {
      const bytes = await files.read(path, start, end);
      bytesRead += bytes.length;
      return bytes;
    },
  };
  const stored = await openSafetensors(counting, "m.safetensors");
  assert.ok(bytesRead < 200, `${bytesRead} bytes`);
  await stored.read("b");
  assert.ok(bytesRead < 4200, `${bytesRead} bytes`);
});

test("a file whose header has any length, as older writers left it, is read too", async () => {
  const bytes = fileOf('{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', 8);
  bytes.set(new Uint8Array(Float64Array.of(Math.E).buffer), bytes.length - 8);
  assert.deepEqual(await (await open(bytes)).read("w"), { shape: [1], data: Float64Array.of(Math.E) });
});

test("a file that is absent, too short, or shorter than its header says is refused", async () => {
  const refuses = (bytes: Uint8Array, message: string) =>
    assert.rejects(open(bytes), { name: "FormatError", message: `m.safetensors: ${message} ${damaged}` });
  await assert.rejects(openSafetensors(memoryFiles(), "m.safetensors"), {
    name: "FormatError",
    message: "m.safetensors: there is no such file. Check the path.",
  });
  await refuses(new Uint8Array(), "must be at least 8 bytes long, got 0.");
  await refuses(new Uint8Array(7), "must be at least 8 bytes long, got 7.");
  await refuses(fileOf("{}", 0, 3n), "the header must be at most 2 bytes long, got 3.");
  await refuses(
    fileOf("{}", 0, 2n ** 64n - 1n),
    "the header must be at most 2 bytes long, got 18446744073709551615.",
  );
  await refuses(fileOf("{}", 0, 0n), 'the header must begin with "{", got another byte or none.');
  await refuses(fileOf(" {}", 0), 'the header must begin with "{", got another byte or none.');
  await refuses(fileOf('{"w":', 0), "the header must be JSON, got other text.");
  const w = '"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
  await refuses(fileOf(`{${w},${w}}`, 1), 'the header must name each key once, got "w" twice.');
});

test("a header above the limit is refused before it is read", async () => {
  const size = 10 ** 12;
  const prefix = fileOf("", 0, 100_000_001n);
  const huge: Files = {
    ...memoryFiles(),
    size: async () => size,
    read: async (_, start = 0, end = size) => {
      assert.deepEqual([start, end], [0, 8]);
      return new Uint8Array(prefix);
    },
  };
  await assert.rejects(openSafetensors(huge, "m.safetensors"), {
    name: "FormatError",
    message: `m.safetensors: the header must be at most 100000000 bytes long, got 100000001. ${damaged}`,
  });
});

test("asking for a tensor that is not there names it, and one that is", async () => {
  const stored = await open(writeSafetensors(new Map([["w", { shape: [], data: Float32Array.of(1) }]])));
  const refused = {
    name: "FormatError",
    message:
      'm.safetensors: no tensor "layers.3.mixer.D". It holds others, such as "w": is this another kind of checkpoint?',
  };
  assert.throws(() => stored.info("layers.3.mixer.D"), refused);
  await assert.rejects(stored.read("layers.3.mixer.D"), refused);
  await assert.rejects(stored.read("constructor"), { name: "FormatError" });
  await assert.rejects((await open(fileOf("{}", 0))).read("w"), {
    message: 'm.safetensors: no tensor "w". It holds none: is this another kind of checkpoint?',
  });
});

test("a part of an array is written as that part", async () => {
  const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  const stored = await open(writeSafetensors(new Map([["w", { shape: [2], data }]])));
  assert.deepEqual((await stored.read("w")).data, Float32Array.of(2, 3));
});

test("tensors that no reader would accept are not written", () => {
  const data = new Float32Array(6);
  const refuses = (name: string, shape: number[], message: string) =>
    assert.throws(() => writeSafetensors(new Map([[name, { shape, data }]])), {
      name: "UsageError",
      message,
    });
  const count = 'safetensors: the shape of tensor "w" must be that of its 6 numbers, got';
  refuses("w", [2, 2], `${count} [2,2].`);
  refuses("w", [-2, -3], `${count} [-2,-3].`);
  refuses("w", [1.5, 4], `${count} [1.5,4].`);
  refuses("__metadata__", [6], 'safetensors: a tensor cannot be named "__metadata__". Choose another name.');
  refuses("__proto__", [6], 'safetensors: a tensor cannot be named "__proto__". Choose another name.');
});

const skip = existsSync(goldens) ? false : "there is no ../shared/goldens";

test(
  "files of the reference library have the tensors, shapes, dtypes and magnitudes that were noted beside",
  { skip },
  async () => {
    const files = diskFiles(goldens);
    let magnitudes = 0;
    for (const file of (await files.list("")).filter((name) => name.endsWith(".safetensors"))) {
      const stored = await openSafetensors(files, file);
      const beside = await files.read(file.replace(/safetensors$/, "json"));
      const noted: Record<string, { dtype: string; shape: number[]; max_abs?: number }> = JSON.parse(
        new TextDecoder().decode(beside),
      ).tensors;
      assert.deepEqual(stored.names.toSorted(), Object.keys(noted).sort());
      for (const [name, { dtype, shape, max_abs: magnitude }] of Object.entries(noted)) {
        const what = `${file}: ${name}`;
        assert.deepEqual([stored.info(name).dtype, stored.info(name).shape], [dtype, shape], what);
        if (magnitude === undefined) continue;
        const { data } = await stored.read(name);
        let largest = 0;
        for (const value of data) largest = Math.max(largest, Math.abs(value));
        assert.equal(Number(largest.toPrecision(6)), magnitude, what); // noted to six digits
        magnitudes++;
      }
    }
    assert.ok(magnitudes > 0);
  },
);

test("checkpoints of the reference library are read, stored as F32 and as BF16", { skip }, async () => {
  const files = diskFiles(goldens);
  for (const [directory, dtype] of [
    ["mamba_hf_d32", "F32"],
    ["mamba_hf_d32_bf16", "BF16"],
  ]) {
    const stored = await openSafetensors(files, `${directory}/model.safetensors`);
    assert.equal(stored.metadata.get("format"), "pt");
    assert.ok(stored.names.every((name) => stored.info(name).dtype === dtype));
    const { shape, data } = await stored.read("backbone.layers.0.mixer.conv1d.weight");
    assert.deepEqual(shape, [64, 1, 4]);
    assert.ok(data instanceof Float32Array && data.every((weight) => Math.abs(weight) < 10));
    assert.ok(data.some((weight) => Math.abs(weight) > 0.01));
  }
});
