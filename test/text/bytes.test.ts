import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { decode, encode, Utf8Stream } from "../../src/text/bytes.ts";

/** What the stream says at each byte, then at the end. */
function stream(bytes: Iterable<number>): string[] {
  const utf8 = new Utf8Stream();
  const said = Array.from(bytes, (byte) => utf8.push(byte));
  return [...said, utf8.flush()];
}

test("a text is its UTF-8 bytes", () => {
  assert.deepEqual([...encode("aé€😀")], [0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80]);
});

test("a character is said once, at its last byte", () => {
  assert.deepEqual(stream(encode("aé€😀")), ["a", "", "é", "", "", "€", "", "", "", "😀", ""]);
});

test("an invalid byte becomes U+FFFD, and the character after it survives", () => {
  assert.deepEqual(stream([0xff, 0x61]), ["\ufffd", "a", ""]);
  assert.equal(stream([0xe2, 0x82, 0x61]).join(""), "\ufffda");
});

test("a character cut short by the end becomes U+FFFD at the end", () => {
  assert.deepEqual(stream([0x61, 0xf0, 0x9f]), ["a", "", "", "\ufffd"]);
});

test("a byte order mark is a character like any other", () => {
  assert.equal(stream(encode("\ufeffa\ufeff")).join(""), "\ufeffa\ufeff");
});

test("a stream begins anew after its end", () => {
  const utf8 = new Utf8Stream();
  utf8.push(0xe2);
  assert.equal(utf8.flush(), "\ufffd");
  assert.equal(utf8.push(0x61), "a");
});

test("decode undoes encode for every well-formed text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.equal(decode(encode(text)), text);
    }),
  );
});

/** Bytes of all kinds: noise, text, and text damaged or cut in the middle of a character. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc
    .tuple(fc.string({ unit: "binary", maxLength: 12 }), fc.nat(60), fc.nat(255))
    .map(([text, place, byte]) => encode(text).map((old, i) => (i === place ? byte : old))),
);

test("any bytes, one at a time, say what they say whole, and never half a character", () => {
  fc.assert(
    fc.property(bytes, (all) => {
      const said = stream(all);
      const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(all));
      assert.equal(said.join(""), whole);
      for (const piece of said) assert.doesNotMatch(piece, /\p{Surrogate}/u);
    }),
    { numRuns: 2000 },
  );
});

test("a token that is not a byte is refused", () => {
  for (const token of [-1, 256, 1.5, NaN]) {
    const error = {
      name: "RangeError",
      message: `text: a token must be a byte, 0 to 255, got ${token}. Was the model trained on bytes?`,
    };
    assert.throws(() => new Utf8Stream().push(token), error);
    assert.throws(() => decode([token]), error);
  }
});
