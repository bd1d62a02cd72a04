import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { median } from "./measure.ts";
import type { BenchContext, Topic } from "./topic.ts";

/** What startChild.ts measures, in milliseconds. */
export interface StartTimes {
  /** Process start until the import begins: Node's own. */
  readonly nodeMs: number;
  readonly importMs: number;
  /** Opening the device. */
  readonly openMs: number;
  /** The first op, until its result is read. */
  readonly opMs: number;
  /** A product of 64 x 256 x 256, the first time, and the best time within 150 ms. */
  readonly firstProductMs: number;
  readonly bestProductMs: number;
}

export const start: Topic = {
  summary: "a fresh process, from the import to the first op, and how warm the kernels are then",

  async run(context) {
    const starts = await startOften(context);
    const { device, threads, report } = context;
    const line = (
      name: string,
      msOf: (times: StartTimes) => number,
      parts: readonly (keyof StartTimes)[],
    ) => {
      const all = starts.map(msOf);
      report({
        topic: "start",
        case: name,
        device: device.name,
        threads,
        medianMs: median(all),
        minMs: Math.min(...all),
        runs: all.length,
        roundMs: all,
        cores: null,
        rate: null,
        unit: null,
        limit: null,
        limitKind: null,
        fraction: null,
        details: Object.fromEntries(parts.map((part) => [part, median(starts.map((times) => times[part]))])),
      });
    };
    const toFirst = ({ importMs, openMs, opMs }: StartTimes) => importMs + openMs + opMs;
    line("import to first op", toFirst, ["importMs", "openMs", "opMs"]);
    line("process start to first op", (times) => times.nodeMs + toFirst(times), ["nodeMs"]);
    line("the first product 64x256x256", (times) => times.firstProductMs, ["bestProductMs"]);
  },
};

async function startOften({ device, threads, quick, progress }: BenchContext): Promise<StartTimes[]> {
  const child = fileURLToPath(new URL("./startChild.js", import.meta.url));
  const starts: StartTimes[] = [];
  const rounds = quick ? 2 : 20;
  try {
    for (let i = 0; i <= rounds; i++) {
      progress(`start ${i} of ${rounds}`);
      const { stdout } = await promisify(execFile)(process.execPath, [child, device.name, String(threads)]);
      if (i > 0) starts.push(JSON.parse(stdout) as StartTimes); // the first reads its files from disk
    }
  } finally {
    progress("");
  }
  return starts;
}
