/**
 * The speed of the fused scan of Gu & Dao 2023 (section 4.5, Figure 8, appendix E.5): against the same scan as a chain of
 * ops, a long convolution and attention, by length. As there it is the core operation alone that is timed: no
 * projections, and no filter is computed for the convolution.
 */
import {
  attention,
  capture,
  type Device,
  fftConv,
  gradients,
  selectiveScan,
  type Tensor,
} from "../../node.ts";
import { uniform } from "../bench/inputs.ts";
import { bytes, count, short } from "../format.ts";
import type { Panel } from "../lineChart.ts";
import type { Experiment, Job, Part } from "./experiment.ts";
import { naiveScan } from "./naiveScan.ts";
import { mostBytes, time, type Timed, type Timing } from "./timing.ts";

interface Settings {
  readonly batch: number;
  readonly dModel: number;
  readonly dState: number;
  readonly headDim: number;
  readonly lengths: readonly number[];
  /** An operation that takes longer than this is not timed at greater lengths. */
  readonly mostSeconds: number;
}

const operations = ["fused scan", "naive scan", "convolution", "attention"] as const;
type Operation = (typeof operations)[number];

const powers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => 2 ** (from + i));

export const scanSpeed: Experiment<Settings> = {
  name: "scan-speed",
  quick: { batch: 1, dModel: 256, dState: 16, headDim: 64, lengths: powers(9, 14), mostSeconds: 2 },
  paper: { batch: 1, dModel: 1024, dState: 16, headDim: 64, lengths: powers(9, 17), mostSeconds: 60 },
  parts: [part("Forward", false), part("Forward and backward", true)],
  differences: ({ dModel, lengths }) => [
    ...(dModel === 1024 ? [] : [`width: ${dModel} (paper: 1024), so that it takes minutes`]),
    `lengths: to ${count(Math.max(...lengths))} (paper: 524 288), for time, and because a device of ours has 4 GiB`,
    "numbers: float32 on processor cores (paper: bfloat16 on an A100)",
    "attention: tiled as FlashAttention is, without a matrix of length × length, by the kernel of this library",
  ],
};

/** What the paper says of a length, as times of the fused scan. */
export function paperRatios(length: number): { naive: string; attention: string } {
  return { naive: "20–40", attention: length > 2048 ? "> 1" : "" };
}

function part(title: string, backward: boolean): Part<Settings> {
  return {
    title,
    heads: [
      "length",
      ...operations.map((operation) => `${operation}, ms`),
      "naive / fused",
      "paper: naive",
      "attention / fused",
      "paper: attention",
      "memory naive / fused",
    ],
    run: (job) => runPart(job, backward),
  };
}

async function runPart(job: Job<Settings>, backward: boolean): Promise<Panel[]> {
  const { settings, device } = job;
  const { lengths, mostSeconds } = settings;
  const points = new Map<Operation, [number, number][]>(operations.map((operation) => [operation, []]));
  const tooSlow = new Set<Operation>();
  for (const length of lengths) {
    const found: Partial<Record<Operation, Timing | null>> = {};
    for (const operation of operations) {
      if (tooSlow.has(operation)) continue;
      job.progress(`length ${count(length)}: ${operation}`);
      const timing = await job.once(`${operation}, ${length}${backward ? ", backward" : ""}`, () =>
        time(device, () => build(device, settings, length, operation, backward)),
      );
      found[operation] = timing;
      if (timing === null) continue;
      if (timing.seconds > mostSeconds) tooSlow.add(operation);
      points.get(operation)!.push([length, 1000 * timing.seconds]); // made for each
    }
    const { "fused scan": fused, "naive scan": naive, attention: attending } = found;
    const ratio = (other: Timing | null | undefined, of: "seconds" | "bytes") =>
      fused && other ? short(other[of] / fused[of]) : "";
    const paper = paperRatios(length);
    const cells = [
      count(length),
      ...operations.map((operation) => inWords(found[operation])),
      ratio(naive, "seconds"),
      paper.naive,
      ratio(attending, "seconds"),
      paper.attention,
      ratio(naive, "bytes"),
    ];
    await job.row(cells, { length, timings: found, paper });
  }
  const lines = [...points].map(([name, points]) => ({ name, points }));
  const label = backward ? "ms, forward and backward" : "ms, forward";
  return [{ x: { label: "length", log: true }, y: { label, log: true }, lines }];
}

/** Milliseconds; what did not fit, and what would have taken too long. */
function inWords(timing: Timing | null | undefined): string {
  if (timing === undefined) return "too slow";
  return timing === null ? `> ${bytes(mostBytes)}` : short(1000 * timing.seconds);
}

function build(
  device: Device,
  { batch, dModel, dState, headDim }: Settings,
  length: number,
  operation: Operation,
  backward: boolean,
): Timed {
  const signal = () => uniform(device, [batch, length, dModel]);
  const { inputs, forward } = ((): { inputs: readonly Tensor[]; forward: () => Tensor } => {
    if (operation === "attention") {
      const shape = [batch, length, dModel / headDim, headDim];
      const inputs = [1, 2, 3].map(() => uniform(device, shape));
      return { inputs, forward: () => attention(inputs[0], inputs[1], inputs[2]) };
    }
    if (operation === "convolution") {
      const [u, filter] = [signal(), uniform(device, [dModel, length])];
      return { inputs: [u, filter], forward: () => fftConv(u, filter) };
    }
    const [u, delta] = [signal(), uniform(device, [batch, length, dModel], 0.001, 0.1)];
    const A = uniform(device, [dState, dModel], -16, -1);
    const [B, C] = [1, 2].map(() => uniform(device, [batch, length, dState]));
    const forward = () =>
      operation === "naive scan" ? naiveScan(u, delta, A, B, C) : selectiveScan(u, delta, A, B, C).y;
    return { inputs: [u, delta, A, B, C], forward };
  })();
  const program = capture<unknown>(device, () => (backward ? gradients(inputs, forward) : forward()));
  return { program, inputs };
}
