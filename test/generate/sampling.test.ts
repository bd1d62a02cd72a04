import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { checkSampling, sample, type Sampling } from "../../src/generate/sampling.ts";
import { random } from "../../src/math/random.ts";
import { assertFits, histogram } from "../fits.ts";

const probabilities = [0.3, 0.1, 0.4, 0.2];
const logits = Float64Array.from(probabilities, (p) => Math.log(p) + 5);

/** Asserts that the draws from `scores` are distributed as `weights` say. */
function assertDraws(
  options: Partial<Sampling>,
  weights: number[],
  scores = logits,
  recent: number[] = [],
): void {
  const sampling = checkSampling(options);
  const source = random(1);
  const total = weights.reduce((a, b) => a + b, 0);
  assertFits(
    histogram(scores.length, 20_000, () => sample(scores, sampling, source, recent)),
    weights.map((weight) => weight / total),
  );
}

test("without filters a token is drawn with its probability, the softmax of the logits", () => {
  assertDraws({}, probabilities);
  const f32 = Float32Array.from(logits);
  const source = random(2);
  assertFits(
    histogram(4, 20_000, () => sample(f32, checkSampling(), source)),
    probabilities,
  );
});

test("a temperature T raises the probabilities to 1/T", () => {
  for (const temperature of [0.5, 2]) {
    assertDraws(
      { temperature },
      probabilities.map((p) => p ** (1 / temperature)),
    );
  }
});

test("temperature 0 takes the most likely token, the lowest of equals, and no random number", () => {
  const greedy = checkSampling({ temperature: 0 });
  const source = random(3);
  assert.equal(sample(logits, greedy, source), 2);
  assert.equal(sample(Float32Array.of(1, 7, 3, 7), greedy, source), 1);
  assert.equal(sample(Float32Array.of(-Infinity, -5), greedy, source), 1);
  assert.equal(source.uniform(), random(3).uniform());
});

test("a tiny temperature is as good as greedy", () => {
  assertDraws({ temperature: 1e-300 }, [0, 0, 1, 0]);
});

test("top-k keeps the k most likely tokens, of equals the lowest", () => {
  assertDraws({ topK: 1 }, [0, 0, 1, 0]);
  assertDraws({ topK: 3 }, [0.3, 0, 0.4, 0.2]);
  assertDraws({ topK: 2 }, [1, 1, 0, 0], new Float64Array(4));
  assertDraws({ topK: 9 }, probabilities);
});

test("top-p keeps the fewest most likely tokens that reach p, of equals the lowest", () => {
  assertDraws({ topP: 1e-9 }, [0, 0, 1, 0]);
  assertDraws({ topP: 0.39 }, [0, 0, 1, 0]);
  assertDraws({ topP: 0.41 }, [0.3, 0, 0.4, 0]);
  assertDraws({ topP: 0.89 }, [0.3, 0, 0.4, 0.2]);
  assertDraws({ topP: 0.91 }, probabilities);
  assertDraws({ topP: 0.6 }, [1, 1, 1, 0], new Float64Array(4));
});

test("min-p keeps the tokens that are at least that part as likely as the most likely one", () => {
  assertDraws({ minP: 0.26 }, [0.3, 0, 0.4, 0.2]);
  assertDraws({ minP: 0.6 }, [0.3, 0, 0.4, 0]);
  assertDraws({ minP: 1 }, [0, 0, 1, 0]);
});

test("the temperature comes before top-p and min-p", () => {
  // Squared and normalized: 0.3, 0.03, 0.53, 0.13.
  assertDraws({ temperature: 0.5, topP: 0.5 }, [0, 0, 1, 0]);
  assertDraws({ temperature: 0.5, minP: 0.6 }, [0, 0, 1, 0]);
});

test("top-p counts the probability of what top-k left", () => {
  assertDraws({ topK: 2, topP: 0.5 }, [0, 0, 1, 0]); // 0.4 of 0.7 is enough, 0.4 of 1 is not
});

test("the repetition penalty weakens each recent token once, whatever its sign", () => {
  const scores = Float64Array.of(2, -1, 1, 0.5);
  const penalized = [1, -2, 1, 0.5].map(Math.exp);
  assertDraws({ repetitionPenalty: 2 }, penalized, scores, [0, 1, 1, 0, 0]);
});

test("a recent token past the vocabulary is of no account", () => {
  assertDraws({ repetitionPenalty: 2, vocabulary: 3 }, [0.3, 0.1, 0.4, 0], logits.with(3, 0), [3, 9]);
});

test("tokens past the vocabulary are never drawn nor looked at", () => {
  const padded = Float64Array.of(...logits.subarray(0, 3), 1000, NaN);
  assertDraws({ vocabulary: 3 }, [0.3, 0.1, 0.4, 0, 0], padded);
  assert.equal(sample(padded, checkSampling({ vocabulary: 3, temperature: 0 }), random(0)), 2);
  assertDraws({ vocabulary: 9 }, probabilities);
});

test("a logit of minus infinity is never drawn, whatever the filters keep", () => {
  const scores = logits.with(2, -Infinity);
  for (const options of [{}, { topK: 4 }, { topP: 0.999999 }])
    assertDraws(options, [0.3, 0.1, 0, 0.2], scores);
  assertDraws({ temperature: 1e9 }, [1, 1, 0, 1], scores);
});

test("the same seed gives the same tokens, and filters that keep everything change none of them", () => {
  const normal = random(3);
  const scores = Float32Array.from({ length: 300 }, () => 2 * normal.normal());
  const run = (options: Partial<Sampling>, recent?: number[]) => {
    const source = random(4);
    return Array.from({ length: 200 }, () => sample(scores, checkSampling(options), source, recent));
  };
  const plain = run({});
  assert.deepEqual(run({}), plain);
  assert.deepEqual(run({ topK: 299, minP: 1e-30, topP: 1 - 1e-12 }), plain);
  assert.deepEqual(run({ topK: 300, vocabulary: 300, repetitionPenalty: 1 }, [1, 2, 3]), plain);
});

test("the logits are left as they are", () => {
  const scores = logits.slice();
  const options = { temperature: 0.5, topK: 3, topP: 0.9, minP: 0.1, repetitionPenalty: 2 };
  sample(scores, checkSampling(options), random(5), [2]);
  assert.deepEqual(scores, logits);
});

/** The same by sorting: what `sample` must draw at the uniform number u. */
function bySorting(scores: Float64Array, { temperature, topK, topP, minP }: Sampling, u: number): number {
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
  const best = scores[order[0]];
  let kept = order.slice(0, topK || order.length);
  const weight = (id: number) => Math.exp((scores[id] - best) / temperature);
  const sum = (ids: number[]) => ids.reduce((total, id) => total + weight(id), 0);
  const enough = topP * sum(kept);
  kept = kept.filter((_, i) => sum(kept.slice(0, i)) < enough && weight(kept[i]) >= minP);
  kept.sort((a, b) => a - b);
  const target = u * sum(kept);
  return kept.find((_, i) => sum(kept.slice(0, i + 1)) > target) ?? -1;
}

test("any filters on any logits, equal ones too, draw what sorting would", () => {
  // Odd fractions, so that no sum of weights meets a threshold but for rounding.
  const fraction = fc.integer({ min: 1, max: 996 }).map((n) => (n + Math.SQRT1_2) / 997.1);
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: -4, max: 4 }), fc.double({ min: -9, max: 9, noNaN: true })), {
        minLength: 1,
        maxLength: 60,
      }),
      fc.record(
        { temperature: fraction, topK: fc.nat(70), topP: fraction, minP: fraction },
        { requiredKeys: [] },
      ),
      fraction,
      (values, options, u) => {
        const scores = Float64Array.from(values);
        const sampling = checkSampling(options);
        const drawn = sample(scores, sampling, { ...random(0), uniform: () => u });
        assert.equal(drawn, bySorting(scores, sampling, u));
      },
    ),
    { numRuns: 5000 },
  );
});

test("logits that are no distribution are refused", () => {
  const refused = (scores: Float64Array, options: Partial<Sampling>, message: string) =>
    assert.throws(() => sample(scores, checkSampling(options), random(0)), { name: "RangeError", message });
  for (const temperature of [0, 1]) {
    refused(
      Float64Array.of(1, NaN),
      { temperature },
      "sampling: a logit must be a number below Infinity, got NaN for token 1. Did the training diverge?",
    );
    refused(
      Float64Array.of(Infinity, 1),
      { temperature },
      "sampling: a logit must be a number below Infinity, got Infinity for token 0. Did the training diverge?",
    );
    refused(
      Float64Array.of(-Infinity, -Infinity),
      { temperature },
      "sampling: at least one token must have a finite logit, got none.",
    );
    refused(
      new Float64Array(0),
      { temperature },
      "sampling: at least one token must have a finite logit, got none.",
    );
  }
});

test("an option out of range is refused by name", () => {
  const refused = (options: Partial<Sampling>, message: string) =>
    assert.throws(() => checkSampling(options), { name: "UsageError", message });
  refused({ temperature: -1 }, "sampling: temperature must be 0 (greedy) or above, got -1.");
  refused({ temperature: Infinity }, "sampling: temperature must be 0 (greedy) or above, got Infinity.");
  refused({ temperature: NaN }, "sampling: temperature must be 0 (greedy) or above, got NaN.");
  refused({ topK: 1.5 }, "sampling: topK must be an integer, 0 (off) or above, got 1.5.");
  refused({ topK: -1 }, "sampling: topK must be an integer, 0 (off) or above, got -1.");
  refused({ topP: 0 }, "sampling: topP must be above 0 and at most 1 (off), got 0.");
  refused({ topP: 1.1 }, "sampling: topP must be above 0 and at most 1 (off), got 1.1.");
  refused({ minP: -0.1 }, "sampling: minP must be from 0 (off) to 1, got -0.1.");
  refused({ minP: 2 }, "sampling: minP must be from 0 (off) to 1, got 2.");
  refused({ repetitionPenalty: 0 }, "sampling: repetitionPenalty must be above 0, 1 being off, got 0.");
  refused({ vocabulary: 0 }, "sampling: vocabulary must be an integer of at least 1, got 0.");
});

test("an option left out, or undefined, has its default", () => {
  const off: Sampling = {
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    vocabulary: Infinity,
  };
  assert.deepEqual(checkSampling(), off);
  assert.deepEqual(checkSampling({ topK: undefined, minP: 0.1 }), { ...off, minP: 0.1 });
});
