import { random } from "../math/random.ts";
import type { LanguageModel } from "../models/languageModel.ts";
import { Utf8Stream } from "../text/bytes.ts";
import { StopMatcher } from "../text/stop.ts";
import { Decoder } from "./decoder.ts";
import { checkSampling, sample, type Sampling } from "./sampling.ts";

export interface GenerateOptions extends Partial<Sampling> {
  /** Tokens to generate at the most. Default 256. */
  readonly maxTokens?: number;
  /** The same seed, prompt and model give the same tokens. Default 0. */
  readonly seed?: number;
  /** Ends the generation; the token itself is not yielded. */
  readonly endToken?: number;
  readonly signal?: AbortSignal;
}

/** The tokens that penalties look back at. */
const recentTokens = 64;

/** Reads the prompt, then draws one token after the other. */
export async function* generateTokens(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  { maxTokens = 256, seed = 0, endToken, signal, ...given }: GenerateOptions = {},
): AsyncGenerator<number, void, void> {
  const sampling = checkSampling(given);
  const decoder = new Decoder(model);
  try {
    const recent = Array.prototype.slice.call(prompt, -recentTokens) as number[];
    let logits = await decoder.prefill(prompt);
    for (let i = 0; i < maxTokens && !signal?.aborted; i++) {
      const token = sample(logits, sampling, random(seed, i), recent);
      if (token === endToken) return;
      yield token;
      recent.push(token);
      if (recent.length > recentTokens) recent.shift();
      if (i + 1 < maxTokens) logits = await decoder.step(token);
    }
  } finally {
    decoder.free();
  }
}

export interface GenerateTextOptions extends GenerateOptions {
  /** Generation ends before the first of these appears in the text. */
  readonly stop?: readonly string[];
}

/** Text from a model of bytes, in pieces of whole characters, as soon as they are certain. */
export async function* generateText(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  { stop = [], ...options }: GenerateTextOptions = {},
): AsyncGenerator<string, void, void> {
  const characters = new Utf8Stream();
  const stops = new StopMatcher(stop);
  for await (const token of generateTokens(model, prompt, options)) {
    const { text, stopped } = stops.push(characters.push(token));
    if (text) yield text;
    if (stopped) return;
  }
  const { text, stopped } = stops.push(characters.flush());
  if (text) yield text;
  if (stopped) return;
  const rest = stops.flush();
  if (rest) yield rest;
}
