import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Decoder } from "../../src/generate/decoder.ts";
import { generateText, generateTokens } from "../../src/generate/generate.ts";
import { createMamba, mambaConfig } from "../../src/models/mamba.ts";
import { assertSame } from "../compareCalls.ts";
import { openDevices } from "../devices.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

const config = mambaConfig({ vocabulary: 256, dModel: 16, layers: 2, dState: 4 });
const prompt = (length: number) => Int32Array.from({ length }, (_, i) => (i * 31 + 7) % 256);

async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

for (const device of devices) {
  const model = createMamba(device, config, 4);

  test(`${device.name}: a prompt read in pieces or token by token gives the same`, async () => {
    const tokens = prompt(300); // two captured pieces and a rest
    const whole = new Decoder(model);
    const steps = new Decoder(model);
    const expected = await whole.prefill(tokens);
    let got = new Float32Array();
    for (const token of tokens) got = (await steps.step(token)) as typeof got;
    assertSame(device, got, expected);
    whole.free();
    steps.free();
  });

  test(`${device.name}: restart forgets everything`, async () => {
    const decoder = new Decoder(model);
    const first = await decoder.prefill(prompt(5));
    decoder.restart();
    assert.deepEqual(await decoder.prefill(prompt(5)), first);
    decoder.free();
  });

  test(`${device.name}: greedy generation follows the largest logit`, async () => {
    const decoder = new Decoder(model);
    let logits = await decoder.prefill(prompt(5));
    const expected: number[] = [];
    for (let i = 0; i < 6; i++) {
      const best = logits.reduce((at, value, id) => (value > logits[at] ? id : at), 0);
      expected.push(best);
      logits = await decoder.step(best);
    }
    decoder.free();
    assert.deepEqual(
      await collect(generateTokens(model, prompt(5), { temperature: 0, maxTokens: 6 })),
      expected,
    );
  });
}

const [device] = devices;
const model = createMamba(device, config, 4);

test("the same seed draws the same tokens, another seed others", async () => {
  const draw = (seed: number) => collect(generateTokens(model, prompt(3), { seed, maxTokens: 20 }));
  assert.deepEqual(await draw(1), await draw(1));
  assert.notDeepEqual(await draw(1), await draw(2));
});

test("text arrives in whole characters and equals the bytes decoded at once", async () => {
  const options = { seed: 5, maxTokens: 60 };
  const tokens = await collect(generateTokens(model, prompt(3), options));
  const text = await collect(generateText(model, prompt(3), options));
  assert.equal(text.join(""), new TextDecoder().decode(Uint8Array.from(tokens)));
});

test("generation ends before a stop string", async () => {
  const options = { seed: 5, maxTokens: 60 };
  const whole = (await collect(generateText(model, prompt(3), options))).join("");
  const stop = whole.slice(10, 13);
  const text = (await collect(generateText(model, prompt(3), { ...options, stop: [stop] }))).join("");
  assert.equal(text, whole.slice(0, whole.indexOf(stop)));
});

test("a token outside the vocabulary and an empty prompt are refused", async () => {
  const decoder = new Decoder(model);
  await assert.rejects(decoder.prefill([1, 300]), {
    name: "UsageError",
    message: "generate: token 1 must be from 0 to 255, got 300.",
  });
  await assert.rejects(decoder.prefill([]), {
    name: "UsageError",
    message: "generate: the prompt is empty. Give at least one token.",
  });
  decoder.free();
});
