import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { whiteSignal } from "../../src/data/whiteSignal.ts";
import { rfft } from "../../src/math/fft.ts";
import { random } from "../../src/math/random.ts";

test("a signal begins at 0 and has no frequency above the one asked for", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (seed, half, part) => {
        const length = 2 * half;
        const dt = 0.01;
        const [lowest, highest] = [1 / (length * dt), 0.5 / dt];
        const frequency = lowest + part * (highest - lowest);
        const x = whiteSignal(random(seed), length, { dt, frequency });
        assert.equal(x.length, length);
        assert.equal(x[0], 0);
        const X = rfft(x);
        for (let k = 1; k <= half; k++) {
          const size = Math.hypot(X[2 * k], X[2 * k + 1]);
          if (k / (length * dt) > frequency * (1 + 1e-9)) assert.ok(size < 1e-9, `k = ${k}: ${size}`);
        }
      },
    ),
  );
});

test("its root mean square about its own mean is near a half, for wide bands and narrow ones", () => {
  for (const frequency of [10, 100, 500]) {
    let power = 0;
    const signals = 400;
    for (let i = 0; i < signals; i++) {
      const x = whiteSignal(random(1, i), 1000, { dt: 0.001, frequency });
      const mean = x.reduce((a, b) => a + b, 0) / 1000;
      power += x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 1000 / signals;
    }
    // Ten frequencies of two normals each, 400 times: the power varies by 2 %.
    assert.ok(Math.abs(Math.sqrt(power) - 0.5) < 0.02, `${frequency}: ${Math.sqrt(power)}`);
  }
});

test("an odd length is the beginning of the even one above it", () => {
  const even = whiteSignal(random(2), 10, { frequency: 300 });
  assert.deepEqual([...whiteSignal(random(2), 9, { frequency: 300 })], [...even.subarray(0, 9)]);
});

test("a frequency that such a signal cannot have is refused", () => {
  for (const frequency of [0.05, 6, NaN]) {
    assert.throws(() => whiteSignal(random(0), 100, { dt: 0.1, frequency }), {
      name: "RangeError",
      message:
        `white-signal: the frequency must be from 1/(length dt) = 0.1 to 1/(2 dt) = 5, got ${frequency}. ` +
        "Change the frequency, dt or the length.",
    });
  }
});
