import assert from "node:assert/strict";
import { test } from "node:test";

import { readIdx } from "../../src/data/idx.ts";

/** An IDX file of these elements, written by the DataView setter of their type. */
function idx(
  type: number,
  shape: readonly number[],
  size: number,
  elements: readonly number[],
  set: (view: DataView, at: number, value: number) => void,
): Uint8Array {
  const header = 4 + 4 * shape.length;
  const bytes = new Uint8Array(header + size * elements.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 0, type, shape.length]);
  for (const [i, length] of shape.entries()) view.setUint32(4 + 4 * i, length);
  for (const [i, value] of elements.entries()) set(view, header + size * i, value);
  return bytes;
}

test("bytes are read as they lie, wider types as big-endian numbers", () => {
  const images = readIdx(
    "i",
    idx(0x08, [2, 1, 3], 1, [1, 2, 3, 253, 254, 255], (v, at, x) => v.setUint8(at, x)),
  );
  assert.deepEqual(images.shape, [2, 1, 3]);
  assert.deepEqual([...images.data], [1, 2, 3, 253, 254, 255]);
  const values = [-1.5, 2 ** -30, 7];
  assert.deepEqual(
    [
      ...readIdx(
        "i",
        idx(0x0d, [3], 4, values, (v, at, x) => v.setFloat32(at, x)),
      ).data,
    ],
    values,
  );
  assert.deepEqual(
    [
      ...readIdx(
        "i",
        idx(0x0e, [3], 8, values, (v, at, x) => v.setFloat64(at, x)),
      ).data,
    ],
    values,
  );
  const whole = [-3, 0, 100];
  assert.deepEqual(
    [
      ...readIdx(
        "i",
        idx(0x09, [3], 1, whole, (v, at, x) => v.setInt8(at, x)),
      ).data,
    ],
    whole,
  );
  assert.deepEqual(
    [
      ...readIdx(
        "i",
        idx(0x0b, [3], 2, whole, (v, at, x) => v.setInt16(at, x)),
      ).data,
    ],
    whole,
  );
  assert.deepEqual(
    [
      ...readIdx(
        "i",
        idx(0x0c, [3], 4, whole, (v, at, x) => v.setInt32(at, x)),
      ).data,
    ],
    whole,
  );
});

test("a file that is cut, too long, compressed, something else, or claims more than it has is refused", () => {
  const whole = idx(0x08, [2, 2], 1, [1, 2, 3, 4], (v, at, x) => v.setUint8(at, x));
  const refused = (bytes: Uint8Array, message: string) =>
    assert.throws(() => readIdx("i", bytes), { name: "FormatError", message: `i: ${message}` });
  refused(whole.subarray(0, 15), "(2, 2) elements of 1 bytes need 16 bytes, got 15. Is it complete?");
  refused(Uint8Array.of(...whole, 0), "(2, 2) elements of 1 bytes need 16 bytes, got 17. Is it complete?");
  refused(whole.subarray(0, 7), "must say 2 dimensions in its header. Is it complete?");
  refused(Uint8Array.of(0, 0, 8, 0), "must say at least 1 dimensions in its header. Is it complete?");
  refused(Uint8Array.of(0x1f, 0x8b, 8, 0), "is compressed. Unpack it with gunzip.");
  const other = "must be an IDX file, such as those of MNIST. It does not begin like one.";
  for (const bytes of [[], [0, 0, 8], [0, 0, 7, 1, 0, 0, 0, 0], [1, 0, 8, 1, 0, 0, 0, 0]]) {
    refused(Uint8Array.from(bytes), other);
  }
  const huge = Uint8Array.of(0, 0, 0x0e, 2, 255, 255, 255, 255, 255, 255, 255, 255);
  assert.throws(
    () => readIdx("i", huge),
    /need 147573952520972580000|need 1\.4757395\S+e\+20 bytes|need 1475739/,
  );
});
