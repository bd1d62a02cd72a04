import { UsageError } from "../../node.ts";
import type { BenchLine } from "../bench/topic.ts";
import { defineCommand } from "../command.ts";
import { describeDevice, machineOf, withDevice } from "../device.ts";
import { benchFlags, deviceFlags, outputFlags } from "../flags.ts";
import { count, percent, short } from "../format.ts";

const speaker = "bench";

export const bench = defineCommand({
  name: "bench",
  doc: "Measures kernels and models, beside the limits of the machine measured in the same run.",
  argument: { name: "topic", doc: "what to measure; without it, the topics are listed" },
  flags: { ...benchFlags, ...deviceFlags, ...outputFlags },
  async run({ values, argument, terminal }) {
    const { topics } = await import("../bench/topics.ts"); // no other command needs them
    if (argument === undefined) {
      const width = Math.max(...Object.keys(topics).map((name) => name.length));
      for (const [name, { summary }] of Object.entries(topics)) {
        terminal.say(`${terminal.colors.cyan(name.padEnd(width))}  ${summary}`);
        terminal.emit({ type: "topic", name, summary });
      }
      return 0;
    }
    const topic = Object.hasOwn(topics, argument) ? topics[argument] : undefined;
    if (!topic) {
      throw new UsageError(
        `${speaker}: unknown topic ${argument}. Choose one of ${Object.keys(topics).join(", ")}.`,
      );
    }
    return withDevice(values, async (device) => {
      const live = await terminal.liveLine();
      terminal.say(`${argument} on ${device.name}: ${describeDevice(device)}`);
      await topic.run({
        device,
        threads: machineOf(device).threads ?? 1,
        quick: values.quick,
        report(line) {
          live?.clear();
          terminal.say(inWords(line));
          terminal.emit(line);
        },
        progress: (text) => live?.update(text),
      });
      live?.clear();
      return 0;
    });
  },
});

/** "2048×3072×768  27.1 ms  357 GFLOP/s  84 % of the FMA rate" */
function inWords(line: BenchLine): string {
  const { medianMs, rate, unit, fraction, limitKind, details } = line;
  const parts = [line.case, `${short(medianMs)} ms`];
  if (rate !== null && unit !== null) parts.push(`${rate >= 1000 ? count(rate) : short(rate)} ${unit}`);
  if (fraction !== null && limitKind !== null) parts.push(`${ofLimit(fraction)} of the ${limitKind}`);
  if (details.gpuMs !== undefined) parts.push(`${short(details.gpuMs)} ms by the GPU's clock`);
  if (details.gpuFraction !== undefined) parts.push(`${ofLimit(details.gpuFraction)} of its limit`);
  if (details.javascriptMs !== undefined) parts.push(`${short(details.javascriptMs)} ms of JavaScript`);
  return parts.join("  ");
}

/** A limit that was measured may be surpassed. */
function ofLimit(fraction: number): string {
  return fraction > 1 ? `${Math.round(100 * fraction)} %` : percent(fraction);
}
