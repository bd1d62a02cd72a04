import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import type { Files } from "../../src/checkpoint/files.ts";
import { openSafetensors, writeSafetensors, type TensorData } from "../../src/checkpoint/safetensors.ts";
import { FormatError } from "../../src/tensor/errors.ts";
import { fileOf, holding } from "./tensorFiles.ts";

/** Opens and reads all of a file, in which anything but a FormatError is our fault. */
async function survives(bytes: Uint8Array): Promise<boolean> {
  const files = await holding(bytes);
  const bounded: Files = {
    ...files,
    async read(path, start = 0, end = bytes.length) {
      assert.ok(end - start <= bytes.length, `asked for ${end - start} bytes of a file of ${bytes.length}`);
      return files.read(path, start, end);
    },
  };
  try {
    const stored = await openSafetensors(bounded, "m.safetensors");
    for (const name of stored.names) {
      const { shape, data } = await stored.read(name);
      assert.equal(
        data.length,
        shape.reduce((a, b) => a * b, 1),
      );
    }
    return true;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    assert.ok(error.message.length < 1000);
    return false;
  }
}

test("any bytes are a tensor file or a FormatError, and only bytes of the file are asked for", async () => {
  const json = fc.json().map((text) => fileOf(text, 16));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 200 }), json), async (bytes) => {
      await survives(bytes);
    }),
    { numRuns: 1000 },
  );
});

test("any header that almost describes tensors is one or a FormatError", async () => {
  const size = fc.oneof(fc.nat(20), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, null, "4"));
  const entry = fc.record(
    {
      dtype: fc.constantFrom("F32", "F16", "I64", "U8", "Q4", "__proto__"),
      shape: fc.array(size, { maxLength: 3 }),
      data_offsets: fc.tuple(size, size),
    },
    { noNullPrototype: true },
  );
  const name = fc.constantFrom("a", "b", "__proto__", "__metadata__", "constructor");
  const header = fc.array(fc.tuple(name, fc.oneof(entry, fc.jsonValue())), { maxLength: 4 });
  const property = fc.asyncProperty(header, fc.nat(32), async (entries, dataSize) => {
    const text = entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",");
    await survives(fileOf(`{${text}}`, dataSize));
  });
  await fc.assert(property, { numRuns: 2000 });
});

const valid = writeSafetensors(
  new Map<string, TensorData>([
    ["a", { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ["b", { shape: [], data: Int32Array.of(-1) }],
    ["c", { shape: [0, 5], data: new Float64Array() }],
  ]),
  { format: "pt" },
);

test("no truncation of a good file opens", async () => {
  assert.ok(await survives(valid));
  for (let length = 0; length < valid.length; length++) {
    assert.ok(!(await survives(valid.subarray(0, length))), `${length} of ${valid.length} bytes`);
  }
  assert.ok(!(await survives(Uint8Array.of(...valid, 0))), "a byte too many");
});

test("no change of one byte in a good file's header makes anything but a tensor file or a FormatError", async () => {
  const headerEnd = 8 + Number(new DataView(valid.buffer).getBigUint64(0, true));
  for (let place = 0; place < headerEnd; place++) {
    for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
      const changed = valid.slice();
      changed[place] ^= flip;
      await survives(changed);
    }
  }
});
