import type { Random } from "../math/random.ts";
import { UsageError } from "../tensor/errors.ts";

/** How the next token is drawn from the logits. Each default leaves the distribution of the model as it is. */
export interface Sampling {
  /** T: logits are divided by it. 0 takes the most likely token, the lowest of equals; default 1. */
  readonly temperature: number;
  /** Keep the k most likely tokens, of equals the lowest; 0 keeps all, the default. */
  readonly topK: number;
  /** Keep the fewest most likely tokens whose probabilities reach p; 1 keeps all, the default. */
  readonly topP: number;
  /** Keep tokens at least this part as likely as the most likely one; 0 keeps all, the default. */
  readonly minP: number;
  /** Recent tokens: positive logits are divided by it, negative ones multiplied (CTRL, Keskar et al. 2019); default 1. */
  readonly repetitionPenalty: number;
  /** Tokens from here on are never drawn: the padding of the embedding table; default Infinity. */
  readonly vocabulary: number;
}

/**
 * The options with their defaults.
 * @throws UsageError for a value out of its range.
 */
export function checkSampling(options: Partial<Sampling> = {}): Sampling {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const { repetitionPenalty = 1, vocabulary = Infinity } = options;
  const expect = (right: boolean, name: string, range: string, value: number): void => {
    if (!right) throw new UsageError(`sampling: ${name} must be ${range}, got ${value}.`);
  };
  expect(temperature >= 0 && temperature < Infinity, "temperature", "0 (greedy) or above", temperature);
  expect(Number.isInteger(topK) && topK >= 0, "topK", "an integer, 0 (off) or above", topK);
  expect(topP > 0 && topP <= 1, "topP", "above 0 and at most 1 (off)", topP);
  expect(minP >= 0 && minP <= 1, "minP", "from 0 (off) to 1", minP);
  expect(
    repetitionPenalty > 0 && repetitionPenalty < Infinity,
    "repetitionPenalty",
    "above 0, 1 being off",
    repetitionPenalty,
  );
  expect(
    vocabulary === Infinity || (Number.isInteger(vocabulary) && vocabulary >= 1),
    "vocabulary",
    "an integer of at least 1",
    vocabulary,
  );
  return { temperature, topK, topP, minP, repetitionPenalty, vocabulary };
}

/**
 * Draws the next token. logits: (vocabulary), −Infinity for what must not be said; they are left as they are.
 *
 * Filters in the order of transformers: repetition penalty, temperature, top-k, top-p of what top-k left, min-p.
 * (llama.cpp divides by the temperature last: at T ≠ 1 its top-p and min-p keep other tokens.) Takes one uniform
 * number, spent on the kept tokens in the order of their ids; greedy takes none. O(vocabulary) on average.
 *
 * @throws RangeError for logits that are NaN or +Infinity, or of which none can be drawn.
 */
export function sample(
  logits: Float32Array | Float64Array,
  sampling: Sampling,
  random: Random,
  recent: ArrayLike<number> = [],
): number {
  const { temperature, topK, topP, minP, repetitionPenalty, vocabulary } = sampling;
  const scores = new Float64Array(logits.subarray(0, Math.min(vocabulary, logits.length)));
  if (repetitionPenalty !== 1) penalize(scores, recent, repetitionPenalty);
  const best = mostLikely(scores);
  if (temperature === 0) return best;

  const ids = new Int32Array(scores.length);
  for (let id = 0; id < ids.length; id++) ids[id] = id;
  const kept = topK > 0 && topK < ids.length ? leading(ids, scores, undefined, topK) : ids;
  const weights = new Float64Array(scores.length); // the best weighs 1, what is not kept 0
  for (let i = 0; i < kept.length; i++) {
    weights[kept[i]] = Math.exp((scores[kept[i]] - scores[best]) / temperature);
  }
  if (topP < 1) {
    const nucleus = leading(kept, scores, weights, topP * sum(weights));
    for (let i = nucleus.length; i < kept.length; i++) weights[kept[i]] = 0;
  }
  for (let id = 0; id < weights.length; id++) if (weights[id] < minP) weights[id] = 0;
  return draw(weights, random);
}

function penalize(scores: Float64Array, recent: ArrayLike<number>, penalty: number): void {
  for (const id of new Set(Array.from(recent))) {
    if (id < scores.length) scores[id] = scores[id] > 0 ? scores[id] / penalty : scores[id] * penalty;
  }
}

/** The id of the highest score, the lowest of equals. */
function mostLikely(scores: Float64Array): number {
  let best = 0;
  for (let id = 0; id < scores.length; id++) {
    if (!(scores[id] < Infinity)) {
      throw new RangeError(
        `sampling: a logit must be a number below Infinity, got ${scores[id]} for token ${id}. ` +
          "Did the training diverge?",
      );
    }
    if (scores[id] > scores[best]) best = id;
  }
  if (scores.length > 0 && scores[best] > -Infinity) return best;
  throw new RangeError("sampling: at least one token must have a finite logit, got none.");
}

/**
 * The fewest ids, highest score first and of equals the lowest id, whose measures sum to `target` > 0: a quickselect
 * on sums. An id measures its weight, or 1 without weights. Reorders `ids`, of which the result is the beginning.
 */
function leading(
  ids: Int32Array,
  scores: Float64Array,
  weights: Float64Array | undefined,
  target: number,
): Int32Array {
  let low = 0; // ids before low are in; ids past high are out
  let high = ids.length - 1;
  let missing = target;
  while (low < high) {
    swap(ids, (low + high) >> 1, high);
    const pivot = ids[high];
    let split = low; // ids from low to split lead the pivot
    let measure = 0;
    for (let i = low; i < high; i++) {
      const id = ids[i];
      if (scores[id] < scores[pivot] || (scores[id] === scores[pivot] && id > pivot)) continue;
      measure += weights === undefined ? 1 : weights[id];
      swap(ids, i, split++);
    }
    swap(ids, split, high);
    if (measure >= missing) {
      high = split - 1;
      continue;
    }
    missing -= measure + (weights === undefined ? 1 : weights[pivot]);
    low = split + 1;
    if (missing <= 0) return ids.subarray(0, low);
  }
  return ids.subarray(0, high + 1);
}

function swap(ids: Int32Array, i: number, j: number): void {
  const id = ids[i];
  ids[i] = ids[j];
  ids[j] = id;
}

function sum(weights: Float64Array): number {
  let total = 0;
  for (let id = 0; id < weights.length; id++) total += weights[id];
  return total;
}

/** An id, as likely as its weight. */
function draw(weights: Float64Array, random: Random): number {
  let left = random.uniform() * sum(weights);
  let last = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id] === 0) continue;
    last = id;
    left -= weights[id];
    if (left < 0) break;
  }
  return last; // where rounding leaves a rest, the last that can be drawn
}
