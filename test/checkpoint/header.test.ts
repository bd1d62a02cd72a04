import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHeader } from "../../src/checkpoint/header.ts";

const parse = (header: unknown, dataSize: number) =>
  parseHeader("m.safetensors", new TextEncoder().encode(JSON.stringify(header)), dataSize);

const tensor = (dtype: unknown, shape: unknown, ...offsets: unknown[]) => ({
  dtype,
  shape,
  data_offsets: offsets,
});

function refuses(header: unknown, dataSize: number, message: string): void {
  assert.throws(() => parse(header, dataSize), {
    name: "FormatError",
    message: `m.safetensors: ${message} The file is damaged or of another format: download or save it again.`,
  });
}

test("a header gives the tensors in the order of their data, and the metadata", () => {
  const header = {
    b: tensor("F16", [1, 2], 8, 12),
    "": tensor("U8", [0, 7], 8, 8),
    __metadata__: { format: "pt", constructor: "x" },
    a: tensor("F64", [], 0, 8),
  };
  const { entries, metadata } = parse(header, 12);
  assert.deepEqual(
    [...entries],
    [
      ["a", { dtype: "F64", shape: [], begin: 0, end: 8 }],
      ["", { dtype: "U8", shape: [0, 7], begin: 8, end: 8 }],
      ["b", { dtype: "F16", shape: [1, 2], begin: 8, end: 12 }],
    ],
  );
  assert.deepEqual(Object.fromEntries(metadata), { format: "pt", constructor: "x" });
  assert.equal(parse({}, 0).entries.size, 0);
});

test("a header that is no JSON object is refused", () => {
  refuses([], 0, 'the header must begin with "{", got another byte or none.');
  refuses(7, 0, 'the header must begin with "{", got another byte or none.');
  assert.throws(() => parseHeader("m.safetensors", new Uint8Array(), 0), { name: "FormatError" });
});

test("an entry that does not describe a tensor is refused by name", () => {
  const dtypes = "F16, BF16, F32, F64, I32, I64, U8";
  refuses({ w: 5 }, 0, 'the entry of tensor "w" must be an object, got 5.');
  refuses({ w: [1] }, 0, 'the entry of tensor "w" must be an object, got [1].');
  refuses({ w: {} }, 0, `the dtype of tensor "w" must be one of ${dtypes}, got nothing.`);
  refuses(
    { w: tensor("F8_E4M3", [1], 0, 1) },
    1,
    `the dtype of tensor "w" must be one of ${dtypes}, got "F8_E4M3".`,
  );
  refuses(
    { w: tensor("toString", [1], 0, 1) },
    1,
    `the dtype of tensor "w" must be one of ${dtypes}, got "toString".`,
  );
  refuses(
    { w: tensor(["F32"], [1], 0, 4) },
    4,
    `the dtype of tensor "w" must be one of ${dtypes}, got ["F32"].`,
  );
});

test("a shape must be a list of sizes that fit into a file", () => {
  const sizes = "a list of whole numbers from 0 on";
  refuses({ w: tensor("F32", [-1, -1], 0, 4) }, 4, `the shape of tensor "w" must be ${sizes}, got [-1,-1].`);
  refuses({ w: tensor("F32", [0.5, 2], 0, 4) }, 4, `the shape of tensor "w" must be ${sizes}, got [0.5,2].`);
  refuses({ w: tensor("F32", ["1"], 0, 4) }, 4, `the shape of tensor "w" must be ${sizes}, got ["1"].`);
  refuses({ w: tensor("F32", 1, 0, 4) }, 4, `the shape of tensor "w" must be ${sizes}, got 1.`);
  refuses(
    { w: tensor("F32", [2 ** 53], 0, 4) },
    4,
    `the shape of tensor "w" must be ${sizes}, got [9007199254740992].`,
  );
  const fits = 'the shape of tensor "w" must be one that fits into a file, got';
  refuses({ w: tensor("F32", [2 ** 40, 2 ** 40], 0, 4) }, 4, `${fits} [1099511627776,1099511627776].`);
  refuses({ w: tensor("F32", [2 ** 32, 2 ** 32, 0], 0, 0) }, 0, `${fits} [4294967296,4294967296,0].`);
  refuses({ w: tensor("F32", Array(999).fill(2 ** 50), 0, 4) }, 4, `${fits} a list of 999.`);
});

test("offsets must be two places as far apart as dtype and shape say", () => {
  const two = 'the data_offsets of tensor "w" must be two whole numbers from 0 on, got';
  refuses({ w: tensor("F32", [1], 0) }, 4, `${two} [0].`);
  refuses({ w: tensor("F32", [1], 0, 4, 8) }, 4, `${two} [0,4,8].`);
  refuses({ w: tensor("F32", [1], -4, 0) }, 4, `${two} [-4,0].`);
  refuses({ w: tensor("F32", [1], 0, 4.5) }, 4, `${two} [0,4.5].`);
  const apart = 'the data_offsets of tensor "w" must be';
  refuses(
    { w: tensor("F32", [2, 3], 0, 20) },
    20,
    `${apart} 24 bytes apart for F32 of shape [2,3], got [0,20].`,
  );
  refuses({ w: tensor("BF16", [2], 4, 0) }, 4, `${apart} 4 bytes apart for BF16 of shape [2], got [4,0].`);
});

test("tensors must fill the data: no overlap, no hole, nothing outside, nothing left over", () => {
  const a = tensor("F32", [2], 0, 8);
  const where = 'the data of tensor "b" must';
  refuses({ a, b: tensor("F32", [1], 4, 8) }, 8, `${where} begin at 8, got 4: an overlap.`);
  refuses({ a, b: tensor("U8", [0], 4, 4) }, 8, `${where} begin at 8, got 4: an overlap.`);
  refuses({ a, b: tensor("F32", [1], 12, 16) }, 16, `${where} begin at 8, got 12: a hole.`);
  refuses({ a, b: tensor("F32", [1], 8, 12) }, 11, `${where} end within the 11 bytes of data, got 12.`);
  refuses({ a }, 9, "the tensors must fill all 9 bytes of data, got 8.");
  refuses({}, 1, "the tensors must fill all 1 bytes of data, got 0.");
  refuses({ b: tensor("F32", [2], 4, 12) }, 12, `${where} begin at 0, got 4: a hole.`);
});

test("metadata must map keys to texts", () => {
  refuses({ __metadata__: { n: 5 } }, 0, "__metadata__ must map keys to texts, got 5.");
  refuses({ __metadata__: "x" }, 0, '__metadata__ must map keys to texts, got "x".');
});

test("__proto__ names no tensor", () => {
  const header = '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
  assert.throws(() => parseHeader("m.safetensors", new TextEncoder().encode(header), 1), {
    name: "FormatError",
    message:
      'm.safetensors: the name of tensor "__proto__" must be another word, got "__proto__". ' +
      "The file is damaged or of another format: download or save it again.",
  });
});
