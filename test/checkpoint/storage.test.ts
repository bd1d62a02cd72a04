import assert from "node:assert/strict";
import { test } from "node:test";

import { storages } from "../../src/checkpoint/storage.ts";

const everyHalf = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The value of a float by its definition, IEEE 754-2019, 3.4. */
function valueOf(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits >> (exponentBits + fractionBits) ? -1 : 1;
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = bits & (2 ** fractionBits - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  const leading = exponent === 0 ? 0 : 1;
  return sign * (leading + fraction / 2 ** fractionBits) * 2 ** (Math.max(exponent, 1) - bias);
}

test("all 65536 F16 widen to the f32 of the same value, −0, ±∞ and NaN included", () => {
  const widened = storages.F16.decode(new Uint8Array(everyHalf.slice().buffer));
  for (const half of everyHalf) assert.ok(Object.is(widened[half], valueOf(half, 5, 10)), `F16 ${half}`);
});

test("all 65536 BF16 widen to the f32 of the same value, −0, ±∞ and NaN included", () => {
  const widened = storages.BF16.decode(new Uint8Array(everyHalf.slice().buffer));
  for (const half of everyHalf) assert.ok(Object.is(widened[half], valueOf(half, 8, 7)), `BF16 ${half}`);
});

test("I64 from −2³¹ to 2³¹ − 1 become the same i32, the next ones are a FormatError that names them", () => {
  const decode = (...values: bigint[]) =>
    storages.I64.decode(new Uint8Array(BigInt64Array.from(values).buffer), 'a.safetensors: tensor "n"');
  assert.deepEqual(
    decode(-(2n ** 31n), -1n, 0n, 2n ** 31n - 1n),
    Int32Array.of(-(2 ** 31), -1, 0, 2 ** 31 - 1),
  );
  for (const value of [2n ** 31n, -(2n ** 31n) - 1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    assert.throws(() => decode(5n, value), {
      name: "FormatError",
      message: `a.safetensors: tensor "n" must fit 32 bits, got ${value} at index 1. Store it as I32 or F64.`,
    });
  }
});

test("bytes in the middle of a buffer decode wherever they begin", () => {
  const bytes = new Uint8Array(13);
  bytes.set(new Uint8Array(Float64Array.of(Math.PI).buffer), 3);
  assert.deepEqual(storages.F64.decode(bytes.subarray(3, 11)), Float64Array.of(Math.PI));
});
