import assert from "node:assert/strict";
import { test } from "node:test";
import { random } from "../../src/math/random.ts";
import { toHalf, widenHalves } from "../../src/tensor/half.ts";

const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
const values = widenHalves(all);

test("every f16 that is a number is its own nearest f16", () => {
  for (const half of all) if (!Number.isNaN(values[half])) assert.equal(toHalf(values[half]), half);
});

test("a number between two f16 becomes the nearer one, halfway the even one", () => {
  const positive = values.subarray(0, 0x7c00); // ascending, from 0 to 65 504
  const source = random(1);
  for (let i = 0; i < 20_000; i++) {
    const at = source.integer(0x7bff);
    const [below, above] = [positive[at], positive[at + 1]];
    const middle = (below + above) / 2;
    assert.equal(toHalf(middle), at % 2 === 0 ? at : at + 1, `halfway, ${middle}`);
    const x = Math.fround(below + (above - below) * source.uniform());
    const nearest = x - below < above - x ? at : at + 1;
    if (x !== middle) assert.equal(toHalf(x), nearest, String(x));
    if (x !== middle) assert.equal(toHalf(-x), nearest | 0x8000, String(-x));
  }
});

test("what is too large is infinite, NaN stays NaN", () => {
  assert.deepEqual([65519, 65520, Infinity, -1e30].map(toHalf), [0x7bff, 0x7c00, 0x7c00, 0xfc00]);
  assert.ok(Number.isNaN(widenHalves(Uint16Array.of(toHalf(NaN)))[0]));
});
