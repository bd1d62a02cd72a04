import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import { fieldsOf, parseObject, quote } from "../../src/checkpoint/json.ts";

const parse = (text: string) => parseObject("a.json: the header", new TextEncoder().encode(text));
const damaged = "The file is damaged or of another format: download or save it again.";

test("any JSON object is read as JSON.parse reads it", () => {
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(fc.string({ unit: "binary" }), fc.double(), fc.boolean(), fc.constant(null)),
      fc.array(tie("tree")),
      fc.dictionary(fc.string({ unit: "binary" }), tie("tree")),
    ),
  }));
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: "binary" }), tree),
      fc.integer({ min: 0, max: 3 }),
      (object, indent) => {
        const text = JSON.stringify(object, null, indent);
        assert.deepEqual(parse(text), fieldsOf(JSON.parse(text)));
      },
    ),
  );
});

test("a key that occurs twice in one object is refused, however it is spelled", () => {
  for (const text of [
    '{"a":1,"a":2}',
    '{"a" : 1, "\\u0061"\n:2}',
    '{"b":{"x":[{"a":1,"c":2,"a":3}]}}',
    '{"b":"\\"","a":1,"a":2}',
  ]) {
    const message = `a.json: the header must name each key once, got "a" twice. ${damaged}`;
    assert.throws(() => parse(text), { name: "FormatError", message });
  }
  parse('{"a":"a","b":["a","a"],"c":{"a":"\\"a\\":"},"d":[{"a":1},{"a":2}]}');
});

test("deep nesting is refused", () => {
  const message = `a.json: the header must nest at most 8 deep, got more. ${damaged}`;
  for (const opening of ['{"a":', "["]) {
    assert.throws(() => parse(opening.repeat(100_000)), { name: "FormatError", message });
  }
  const nested = (depth: number) => '{"a":'.repeat(depth) + "1" + "}".repeat(depth);
  assert.equal(parse(nested(8)).size, 1);
  assert.throws(() => parse(nested(9)), { message });
});

test("more parts than any checkpoint has are refused before they are built", () => {
  const message = `a.json: the header must have at most 2000000 brackets, commas and colons, got more. ${damaged}`;
  const lists = "[],".repeat(1_000_000);
  const numbers = "1,".repeat(2_000_000);
  const keys = Array.from({ length: 1_000_001 }, (_, i) => `"${i}":0`).join(",");
  for (const text of [`{"a":[${lists}[]]}`, `{"a":[${numbers}1]}`, `{${keys}}`]) {
    assert.throws(() => parse(text), { name: "FormatError", message });
  }
  assert.equal(parse(`{"a":"${lists}"}`).size, 1);
});

test("what is not the JSON of an object is refused", () => {
  const refuses = (text: string, got: string) =>
    assert.throws(() => parse(text), {
      name: "FormatError",
      message: `a.json: the header must be ${got}. ${damaged}`,
    });
  for (const text of [
    "",
    "{",
    '{"a":1',
    '{"a":"',
    "{'a':1}",
    '{"a":1}}',
    '{"\\x":1}',
    "\uFEFF{}",
    '{"a":Infinity}',
  ]) {
    refuses(text, "JSON, got other text");
  }
  refuses("[1,2]", "a JSON object, got [1,2]");
  refuses("null", "a JSON object, got null");
  refuses('"x"', 'a JSON object, got "x"');
  assert.throws(() => parseObject("a.json: the header", Uint8Array.of(0x7b, 0xff, 0x7d)), {
    message: `a.json: the header must be JSON, got bytes that are not UTF-8. ${damaged}`,
  });
});

test("a field named __proto__ is a field like any other", () => {
  assert.deepEqual([...parse('{"__proto__":{"x":1},"constructor":2}').keys()], ["__proto__", "constructor"]);
  assert.equal(fieldsOf(parse('{"a":{}}').get("a"))?.get("toString"), undefined);
});

test("a quoted value is never long", () => {
  assert.equal(quote("a\u001b\n"), '"a\\u001b\\n"');
  assert.equal(quote(undefined), "nothing");
  for (const value of ["x".repeat(1e5), "\0".repeat(1e5), Array(1e5).fill(0), { a: "x".repeat(1e5) }]) {
    assert.ok(quote(value).length <= 170, quote(value));
  }
});
