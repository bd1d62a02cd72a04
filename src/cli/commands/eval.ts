import { FormatError, scaleStepSizes, UsageError } from "../../node.ts";
import { defineCommand } from "../command.ts";
import { withDevice } from "../device.ts";
import { measure } from "../evaluation.ts";
import { deviceFlags, evaluationFlags, outputFlags, sourceFlags } from "../flags.ts";
import { count, counted, duration, percent, short } from "../format.ts";
import { readSettings } from "../settings.ts";
import { findRun, isSameSource } from "../run.ts";
import { placeOfRun } from "../source.ts";
import { taskKindOf } from "../tasks.ts";

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
    const lesson = await kind.prepare(settings, speaker);
    const { task, source, translate, score } = lesson;
    if (source && !isSameSource(run.config, source)) {
      throw new FormatError(
        `${speaker}: ${source.path} is not what ${run.directory} learned. Put it back as it was.`,
      );
    }
    if (score && (values.length.length > 0 || values.batches !== evaluationFlags.batches.initial)) {
      throw new UsageError(
        `${speaker}: a run of "${run.config.command}" is scored on all it has. Leave out --length and --batches.`,
      );
    }
    const lengths = values.length.length > 0 ? values.length : [lesson.length];
    for (const length of lengths) task.validation(0, 1, length); // says now what the task lacks for this length
    const batch = values.batch ?? settings.batch;
    return withDevice(values, async (device) => {
      const model = await load(device, terminal);
      if (values.rate !== undefined) await scaleStepSizes(model, values.rate);
      const of = lesson.objective(model, run.directory);
      if (score) {
        await score({ run, model, batch, terminal, keep: false });
        return 0;
      }
      const live = await terminal.liveLine();
      for (const length of lengths) {
        const row = await measure({ model: of, task, length, batch, batches: values.batches, live });
        const bits = translate ? ` (${translate(row.loss)})` : "";
        terminal.say(
          `length ${count(length)}: loss ${short(row.loss)}${bits}, accuracy ${percent(row.accuracy)}, ` +
            `${counted(row.sequences, "sequence")} in ${duration(row.seconds)}`,
        );
        terminal.emit({
          type: "evaluation",
          ...row,
          ...(translate && { bitsPerByte: row.loss / Math.LN2 }),
        });
      }
      return 0;
    });
  },
});
