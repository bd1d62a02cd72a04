import type { Sizes } from "../../../tensor/op.ts";
import type { KernelSet, Machine } from "./table.ts";

/** DPLR_STEPS of dplrScanBackward.c. */
const stepsOfChunk = 16;

const blocks = ({ channels }: Sizes, { lanes }: Machine) => Math.ceil(channels / lanes);

/** Floats of what is discrete: dplrBlockSize of dplrScan.h. */
const discreteSize = (sizes: Sizes, machine: Machine) =>
  blocks(sizes, machine) * (14 * sizes.n + 7) * machine.lanes;

/** As dplrBackOwn of dplrScanBackward.c. */
function backwardScratch(sizes: Sizes, machine: Machine): number {
  const { batch, length, n } = sizes;
  const { threads, lanes } = machine;
  const sums = batch * blocks(sizes, machine) * (10 * n + 1) * lanes;
  const states = Math.ceil(length / stepsOfChunk) + stepsOfChunk + 2;
  return discreteSize(sizes, machine) + sums + threads * Math.max(2 * states, 8) * n * lanes;
}

/** Operations on states as counted in the kernels, and those of the discretization. */
const work = ({ batch, length, channels, n, rank }: Sizes, perStep: number) =>
  channels * n * (batch * length * perStep + 30 * rank);

export const dplrScan: KernelSet = {
  symbols: [
    "dplrScanDiscretize",
    "dplrScan",
    "dplrScanBackwardDiscretize",
    "dplrScanBackward",
    "dplrScanBackwardSums",
  ],
  sizes: ["batch", "length", "channels", "n", "rank"],
  forward: {
    passes: (sizes, machine) => [
      { symbol: "dplrScanDiscretize", tasks: blocks(sizes, machine) },
      { symbol: "dplrScan", tasks: sizes.batch * blocks(sizes, machine) },
    ],
    scratch: (sizes, machine) => discreteSize(sizes, machine) + machine.threads * 8 * sizes.n * machine.lanes,
    work: (sizes) => work(sizes, 8 + 4 * sizes.rank),
  },
  backward: {
    passes: (sizes, machine) => [
      { symbol: "dplrScanBackwardDiscretize", tasks: blocks(sizes, machine) },
      { symbol: "dplrScanBackward", tasks: sizes.batch * blocks(sizes, machine) },
      { symbol: "dplrScanBackwardSums", tasks: blocks(sizes, machine) },
    ],
    scratch: backwardScratch,
    work: (sizes) => work(sizes, 24 + 16 * sizes.rank),
  },
};
