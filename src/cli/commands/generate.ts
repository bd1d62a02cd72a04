import { text as readAll } from "node:stream/consumers";
import { encodeBytes, generateText, halveWeights, type LanguageModel, UsageError } from "../../node.ts";
import { defineCommand } from "../command.ts";
import { withDevice } from "../device.ts";
import type { Values } from "../flag.ts";
import { deviceFlags, modelSourceFlags, outputFlags, samplingFlags, weightFlags } from "../flags.ts";
import { duration, thousands } from "../format.ts";
import { breathe } from "../interrupt.ts";
import { expectLanguageModel } from "../model.ts";
import { placeOf } from "../source.ts";
import type { Terminal } from "../terminal.ts";

const speaker = "generate";

export const generate = defineCommand({
  name: "generate",
  doc: "Goes on with a prompt, by a model that learned text as bytes; streams what it writes.",
  flags: { ...modelSourceFlags, ...samplingFlags, ...deviceFlags, ...weightFlags, ...outputFlags },
  async run({ values, terminal }) {
    if (values.prompt === undefined) {
      throw new UsageError(`${speaker}: --prompt is missing: what should the model go on from?`);
    }
    const place = await placeOf(speaker, values);
    const command = place.run?.config.command;
    if (command !== undefined && command !== "train text") {
      throw new UsageError(`${speaker}: ${place.path} is a run of "${command}". Take one of "train text".`);
    }
    const prompt = values.prompt === "-" ? await readAll(process.stdin) : values.prompt;
    return withDevice(values, async (device) => {
      const model = expectLanguageModel(speaker, place.path, await place.load(device, terminal));
      const { vocabulary } = model.config;
      if (vocabulary !== 256) {
        throw new UsageError(
          `${speaker}: ${place.path} has a vocabulary of ${vocabulary}, and only models of bytes (256) can write yet.`,
        );
      }
      if (values.weights === "f16") await halveWeights(model);
      await write(model, prompt, values, terminal);
      return 0;
    });
  },
});

async function write(
  model: LanguageModel,
  prompt: string,
  values: Values<typeof samplingFlags>,
  terminal: Terminal,
): Promise<void> {
  const started = performance.now();
  let last = "";
  let characters = 0;
  for await (const text of generateText(model, encodeBytes(prompt), values)) {
    terminal.write(text);
    terminal.emit({ type: "text", text });
    last = text;
    characters += text.length;
    await breathe();
  }
  if (terminal.interactive && !last.endsWith("\n")) terminal.say();
  const seconds = (performance.now() - started) / 1000;
  terminal.emit({ type: "end", characters, seconds });
  terminal.aside(`${thousands(characters)} characters in ${duration(seconds)}`);
}
