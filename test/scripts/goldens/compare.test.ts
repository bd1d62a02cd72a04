import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, isUnreliable } from "../../../scripts/goldens/compare.ts";

const vector = <Data extends { length: number }>(data: Data) => ({ shape: [data.length], data });
const note = {
  shape: [2],
  tol_f32: { rtol: 0.1, atol: 0.5 },
  tol_f64: { rtol: 0.01, atol: 0 },
  ref_f32_rel_to_max: 0.2,
};
const golden = vector(Float64Array.of(10, -20));

test("the tolerance is that of the precision of the result, and the ratio is to atol + rtol |g|", () => {
  const single = compare("y", vector(Float32Array.of(10, -21)), golden, note);
  assert.equal(single.ratio, 1 / 2.5);
  assert.equal(single.relative, 1 / 20);
  assert.equal(single.reference, 0.2);
  assert.equal(single.failure, null);
  const double = compare("y", vector(Float64Array.of(10, -21)), golden, note);
  assert.equal(double.ratio, 1 / 0.2);
  assert.equal(double.reference, undefined);
  assert.equal(double.failure, "got -21 at [1], golden -20");
});

test("without a note the tolerance is 5e-6 of the largest value in float32 and 1e-10 in float64", () => {
  const near = vector(Float64Array.of(10, -20 + 1e-9));
  assert.equal(compare("y", near, golden).failure, null);
  const far = vector(Float64Array.of(10 + 1e-7, -20));
  assert.match(compare("y", far, golden).failure ?? "", /at \[0\], golden 10$/);
  assert.equal(compare("y", vector(Float32Array.of(10 + 1e-5, -20)), golden).failure, null);
  assert.notEqual(compare("y", vector(Float32Array.of(10 + 1e-3, -20)), golden).failure, null);
});

test("numbers that are not finite fail unless the golden one is the same infinity", () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const { ratio, failure } = compare("y", vector(Float64Array.of(10, bad)), golden, note);
    assert.equal(ratio, Infinity);
    assert.equal(failure, `got ${bad} at [1], golden -20`);
  }
  const infinite = vector(Float64Array.of(1, Infinity));
  assert.equal(compare("y", infinite, infinite, note).failure, null);
  assert.notEqual(compare("y", vector(Float64Array.of(1, 2)), infinite, note).failure, null);
  const unknown = vector(Float64Array.of(1, NaN));
  assert.notEqual(compare("y", unknown, unknown, note).failure, null);
});

test("integers must be equal", () => {
  const tokens = vector(Int32Array.of(100000, 7));
  assert.equal(compare("y", tokens, tokens, note).failure, null);
  const { failure } = compare("y", vector(Int32Array.of(100001, 7)), tokens, note);
  assert.equal(failure, "got 100001 at [0], golden 100000");
});

test("another shape fails, though the numbers are the same", () => {
  const { failure } = compare("y", { shape: [1, 2], data: golden.data }, golden, note);
  assert.equal(failure, "the shape must be (2), got (1, 2)");
});

test("a tensor noted as unreliable in float32 is unreliable only when computed in float32", () => {
  const unreliable = { shape: [2], f32_unreliable: true };
  assert.equal(isUnreliable(vector(Float32Array.of(1, 2)), unreliable), true);
  assert.equal(isUnreliable(vector(Float64Array.of(1, 2)), unreliable), false);
  assert.equal(isUnreliable(vector(Float32Array.of(1, 2)), note), false);
});
