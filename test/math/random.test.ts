import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { ln, philox, random } from "../../src/math/random.ts";
import { assertFits, even, histogram } from "../fits.ts";

test("Philox4x32-10 gives the known answers of its authors (Random123, kat_vectors)", () => {
  const answers = [
    ["00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    ["ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    ["243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"],
  ].map((row) => row.map((words) => words.split(" ").map((word) => parseInt(word, 16))));
  for (const [[c0, c1, c2, c3], [k0, k1], answer] of answers) {
    const block = new Uint32Array(4);
    philox(block, c0, c1, c2, c3, k0, k1);
    assert.deepEqual([...block], answer);
  }
});

test("a stream is the Philox blocks of its words: counter (block, words), key (seed, number of words)", () => {
  const source = random(2 ** 32 * 5 + 7, 11, 12, 13);
  const block = new Uint32Array(4);
  for (let i = 0; i < 3; i++) {
    philox(block, i, 11, 12, 13, 7, 5 + 3 * 2 ** 30);
    for (const word of block) assert.equal(source.integer(2 ** 32), word);
  }
});

test("the same seed and stream give the same numbers, to the last bit, on every machine", () => {
  const source = random(1, 2, 3);
  assert.deepEqual(
    [source.uniform(), source.integer(1000), source.normal(), source.normal()],
    [0.3811353609231968, 909, 0.7526506671344371, -0.5734565716980777],
  );
});

test("a uniform number is at least 0, below 1, and as likely in every hundredth", () => {
  const source = random(4);
  assertFits(
    histogram(100, 200_000, () => Math.floor(source.uniform() * 100)),
    even(100),
  );
});

test("an integer below n is as likely as any other", () => {
  assert.equal(random(5).integer(1), 0);
  for (const n of [2, 3, 7, 15, 16, 100]) {
    const source = random(5, n);
    assertFits(
      histogram(n, 100_000, () => source.integer(n)),
      even(n),
    );
  }
});

test("an integer has no bias even where n is near the size of a word", () => {
  const n = 3 * 2 ** 30; // the remainder of a 32-bit word would favour the first third two to one
  const source = random(6);
  assertFits(
    histogram(3, 100_000, () => Math.floor(source.integer(n) / 2 ** 30)),
    even(3),
  );
});

test("a normal number has the moments and the quantiles of the bell", () => {
  const draws = 200_000;
  const source = random(7);
  const z = Float64Array.from({ length: draws }, () => source.normal());
  const moment = (p: number) => z.reduce((sum, x) => sum + x ** p, 0) / draws;
  // Each bound is four standard errors, √(var(zᵖ) / draws).
  const within = (p: number, value: number, variance: number) =>
    assert.ok(Math.abs(moment(p) - value) < 4 * Math.sqrt(variance / draws), `moment ${p} is ${moment(p)}`);
  within(1, 0, 1);
  within(2, 1, 2);
  within(3, 0, 15);
  within(4, 3, 96);
  const quantiles = [-2.326348, -1.281552, -0.67449, 0, 0.67449, 1.281552, 2.326348];
  assertFits(
    histogram(8, draws, (i) => quantiles.filter((q) => z[i] > q).length),
    [0.01, 0.09, 0.15, 0.25, 0.25, 0.15, 0.09, 0.01],
  );
  let product = 0;
  for (let i = 0; i < draws; i += 2) product += z[i] * z[i + 1];
  assert.ok(Math.abs(product / (draws / 2)) < 4 / Math.sqrt(draws / 2), "the two of a pair are independent");
});

test("neighbouring streams and seeds are independent", () => {
  const families = [
    (i: number) => random(i),
    (i: number) => random(8, i),
    (i: number) => random(8, 1, i),
    (i: number) => random(8, i, 1, 0),
  ];
  for (const stream of families) {
    const first = Array.from({ length: 60_001 }, (_, i) => Math.floor(stream(i).uniform() * 8));
    assertFits(
      histogram(64, 60_000, (i) => first[i] * 8 + first[i + 1]),
      even(64),
    );
  }
});

test("streams that differ in any word, in their order or in their number share no number", () => {
  const streams = [[], [0], [1], [0, 0], [0, 1], [1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0], [2 ** 32 - 1]];
  const seeds = [0, 1, 2 ** 32, 2 ** 53 - 1];
  const drawn = seeds.flatMap((seed) =>
    streams.flatMap((words) => {
      const source = random(seed, ...words);
      return [source.uniform(), source.uniform(), source.uniform()];
    }),
  );
  assert.equal(new Set(drawn).size, seeds.length * streams.length * 3);
});

test("ln agrees with Math.log to a few units in the last place", () => {
  const FEW_UNITS = 8e-16; // relative; one unit is between 1.1e-16 and 2.2e-16
  fc.assert(
    fc.property(fc.double({ min: 2 ** -110, max: 1, noNaN: true }), (x) => {
      assert.ok(Math.abs(ln(x) - Math.log(x)) <= FEW_UNITS * Math.abs(Math.log(x)));
    }),
  );
});

test("a seed, a word or an n out of range is refused by name", () => {
  const refused = (act: () => unknown, message: string) =>
    assert.throws(act, { name: "RangeError", message });
  refused(() => random(-1), "random: the seed must be an integer from 0 to 2^53 - 1, got -1.");
  refused(() => random(0.5), "random: the seed must be an integer from 0 to 2^53 - 1, got 0.5.");
  refused(() => random(2 ** 53), `random: the seed must be an integer from 0 to 2^53 - 1, got ${2 ** 53}.`);
  refused(
    () => random(0, NaN),
    "random: each word of a stream must be an integer from 0 to 2^32 - 1, got NaN.",
  );
  refused(
    () => random(0, 1, 2 ** 32),
    "random: each word of a stream must be an integer from 0 to 2^32 - 1, got 4294967296.",
  );
  refused(() => random(0, 1, 2, 3, 4), "random: a stream must be named by at most 3 words, got 4.");
  refused(() => random(0).integer(0), "integer: n must be an integer from 1 to 2^32, got 0.");
  refused(() => random(0).integer(2.5), "integer: n must be an integer from 1 to 2^32, got 2.5.");
});
