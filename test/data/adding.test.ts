import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { adding } from "../../src/data/adding.ts";
import { assertFits, even } from "../fits.ts";

test("one number of each half is marked, and the target is their sum", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(1000), fc.integer({ min: 2, max: 60 }), (seed, index, length) => {
      const { batch, channels, asked, outputs, inputs, targets } = adding({ seed }).validation(
        index,
        2,
        length,
      );
      assert.deepEqual([batch, channels, asked, outputs, inputs.length], [2, 2, 1, 1, 4 * length]);
      for (const r of [0, 1]) {
        const own = inputs.subarray(2 * length * r, 2 * length * (r + 1));
        const numbers = own.filter((_, i) => i % 2 === 0);
        const markers = own.filter((_, i) => i % 2 === 1);
        const places = [...markers.keys()].filter((t) => markers[t] !== 0);
        assert.ok(numbers.every((value) => value >= 0 && value <= 1));
        assert.equal(places.length, 2);
        assert.ok(places.every((t) => markers[t] === 1));
        assert.ok(places[0] < Math.floor(length / 2) && places[1] >= Math.floor(length / 2));
        assert.equal(targets[r], Math.fround(numbers[places[0]] + numbers[places[1]]));
      }
    }),
  );
});

test("every place of each half is as likely, and always saying 1 costs a sixth", () => {
  const batch = 30_000;
  const { inputs, targets } = adding({ seed: 1 }).train(0, batch, 7);
  const places = new Int32Array(7);
  for (let i = 0; i < inputs.length; i += 2) places[(i / 2) % 7] += inputs[i + 1];
  assertFits(places.subarray(0, 3), even(3));
  assertFits(places.subarray(3), even(4));
  const error = targets.reduce((sum, target) => sum + (target - 1) ** 2, 0) / batch;
  assert.ok(Math.abs(error - 1 / 6) < 0.005, `${error}`); // 4.6 standard deviations: that of (x + y − 1)² is 0.19
});

test("a length without two halves is refused", () => {
  assert.throws(() => adding({ seed: 0 }).train(0, 1, 1), {
    name: "RangeError",
    message: "adding: the length must be an integer of at least 2, got 1.",
  });
});
