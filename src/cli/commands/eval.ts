import { FormatError, scaleStepSizes, UsageError } from "../../node.ts";
import { defineCommand } from "../command.ts";
import { withDevice } from "../device.ts";
import { measure } from "../evaluation.ts";
import { deviceFlags, evaluationFlags, outputFlags, sourceFlags } from "../flags.ts";
import { count, counted, duration, percent, short } from "../format.ts";
import { readSettings } from "../settings.ts";
import { expectLanguageModel } from "../model.ts";
import { findRun, isSameText } from "../run.ts";
import { placeOfRun } from "../source.ts";
import { bitsPerByte, taskKindOf } from "../tasks.ts";

const speaker = "eval";

export const evaluation = defineCommand({
  name: "eval",
  doc: "Measures a run's newest checkpoint on validation data, at one length or several.",
  details: "Sequences stream through the state in pieces: the memory needed does not grow with --length.",
  flags: { ...sourceFlags, ...evaluationFlags, ...deviceFlags, ...outputFlags },
  async run({ values, terminal }) {
    if (values.run === undefined) throw new UsageError(`${speaker}: --run is missing: which run?`);
    const run = await findRun(speaker, { ...values, run: values.run });
    const { load } = await placeOfRun(speaker, run);
    const kind = taskKindOf(run.config.command);
    const settings = readSettings(kind, run.directory, run.config);
    const { task, source } = await kind.create(settings, speaker);
    if (source && !isSameText(run.config, source)) {
      throw new FormatError(
        `${speaker}: ${source.path} is not the text that ${run.directory} learned. Put it back as it was.`,
      );
    }
    const lengths = values.length.length > 0 ? values.length : [settings.length];
    for (const length of lengths) task.validation(0, 1, length); // says now what the task lacks for this length
    const batch = values.batch ?? settings.batch;
    return withDevice(values, async (device) => {
      const model = expectLanguageModel(speaker, run.directory, await load(device, terminal));
      if (values.rate !== undefined) await scaleStepSizes(model, values.rate);
      const live = await terminal.liveLine();
      for (const length of lengths) {
        const row = await measure({ model, task, length, batch, batches: values.batches, live });
        const bits = kind.bytes ? ` (${bitsPerByte(row.loss)})` : "";
        terminal.say(
          `length ${count(length)}: loss ${short(row.loss)}${bits}, accuracy ${percent(row.accuracy)}, ` +
            `${counted(row.sequences, "sequence")} in ${duration(row.seconds)}`,
        );
        terminal.emit({
          type: "evaluation",
          ...row,
          ...(kind.bytes && { bitsPerByte: row.loss / Math.LN2 }),
        });
      }
      return 0;
    });
  },
});
