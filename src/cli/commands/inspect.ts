import { LanguageModel, type Model, Trainer, UsageError } from "../../node.ts";
import { defineCommand } from "../command.ts";
import { withDevice } from "../device.ts";
import { deviceFlags, outputFlags, planFlags, sourceFlags } from "../flags.ts";
import { bytes, columns, count, memoryInWords } from "../format.ts";
import type { Settings } from "../lesson.ts";
import { readSettings } from "../settings.ts";
import { type ModelPlace, placeOf } from "../source.ts";
import { taskKindOf } from "../tasks.ts";
import type { Terminal } from "../terminal.ts";
import { gpuFor, sayTraffic } from "../traffic.ts";
import { watch } from "../watch.ts";

const speaker = "inspect";

export const inspect = defineCommand({
  name: "inspect",
  doc: "Shows what is in a run or a model directory: config, parameters, the memory that training it takes, its traffic.",
  argument: { name: "DIR", doc: "a run, or a directory with config.json and model.safetensors" },
  flags: { ...sourceFlags, ...planFlags, ...deviceFlags, ...outputFlags },
  async run({ values, argument, terminal }) {
    const { run, runs, batch, length } = values;
    const place = await placeOf(speaker, { run, runs, model: argument });
    const trained = trainedWith(place);
    return withDevice(values, async (own) => {
      const { device, compiled } = watch(own);
      const model = await place.load(device, terminal);
      sayModel(place, model, terminal);
      const shape = { batch: batch ?? trained?.batch ?? 1, length: length ?? trained?.length ?? 512 };
      const isLanguageModel = model instanceof LanguageModel;
      if (isLanguageModel && (trained || batch || length)) sayPlan(model, shape, terminal);
      if (values.traffic && !isLanguageModel) {
        throw new UsageError(
          `${speaker}: --traffic knows language models only. Leave it out for ${place.path}.`,
        );
      }
      if (values.traffic && isLanguageModel) sayTraffic({ model, compiled, shape }, gpuFor(own), terminal);
      return 0;
    });
  },
});

function trainedWith({ run }: ModelPlace): Settings | null {
  return run && readSettings(taskKindOf(run.config.command), run.directory, run.config);
}

function sayModel({ path, run }: ModelPlace, model: Model, terminal: Terminal): void {
  const { bold, dim } = terminal.colors;
  const { parameters, config } = model;
  const numbers = model.parameterCount();
  const state = model.initialState(1).flatMap((layer) => Object.values(layer));
  const stateBytes = state.reduce((sum, { buffer }) => sum + 4 * buffer.length, 0);

  terminal.say(bold(path) + (run ? `, made by statewise ${run.config.command}` : ""));
  for (const [name, value] of Object.entries(config)) terminal.say(`  ${name.padEnd(12)} ${String(value)}`);
  terminal.say();
  const rows = [...parameters].map(([name, { shape, buffer }]) => [
    name,
    `(${shape.join(", ")})`,
    count(buffer.length),
  ]);
  const [head, ...lines] = columns(
    [["parameter", "shape", "numbers"], ...rows, ["all", "", count(numbers)]],
    [2],
  );
  terminal.say(dim(head));
  for (const line of lines) terminal.say(line);
  terminal.say();
  terminal.say(
    `weights ${bytes(4 * numbers)} in f32; state ${bytes(stateBytes)} a sequence, however long it is`,
  );

  const table = [...parameters].map(([name, { shape, buffer }]) => ({ name, shape, count: buffer.length }));
  terminal.emit({ type: "model", path, config, parameters: table, count: numbers, stateBytes });
}

/** What training with batches of this shape takes. The plan is made, and nothing is run. */
function sayPlan(model: LanguageModel, shape: { batch: number; length: number }, terminal: Terminal): void {
  const trainer = new Trainer(model);
  const plan = trainer.plan(shape);
  trainer.free();
  const { device } = model;
  terminal.say(
    `training ${count(shape.batch)} sequences of length ${count(shape.length)} on ${device.name} takes ${memoryInWords(plan)}`,
  );
  terminal.emit({ type: "plan", device: device.name, ...shape, memory: plan });
}
