import type { Sizes } from "../../../tensor/op.ts";
import type { KernelSet, Machine } from "./table.ts";

/** As in selectiveScan.h and selectiveScanBackward.c: how many channels, steps and blocks go together. */
const channelsOfBlock = 64;
const stepsOfChunk = 16;
const tasksOfGroup = 8;
/** Of the passes that add up partial sums: COLUMNS of rows.h, and 64 steps. */
const columnsOfTask = 32;
const stepsOfTask = 64;

const blocksOfGroup = ({ dInner, groups }: Sizes) => Math.ceil(dInner / groups / channelsOfBlock);
const backwardTasks = (sizes: Sizes) => Math.min(blocksOfGroup(sizes), tasksOfGroup);
const roundUp = (n: number, to: number) => Math.ceil(n / to) * to;

/** Floats: what tasks and sequences leave for the next passes, and what each thread needs for itself. */
function backwardScratch(sizes: Sizes, { threads, lanes }: Machine): number {
  const { batch, length, dInner, dState, groups } = sizes;
  const width = roundUp(dState, 16);
  const tokens = batch * groups * backwardTasks(sizes) * length * 2 * width;
  const parameters = batch * roundUp((dState + 2) * dInner, 16);
  return tokens + parameters + threads * (dState * channelsOfBlock + 2 * stepsOfChunk * width * lanes);
}

const work = ({ batch, length, dInner, dState }: Sizes) => batch * length * dInner * dState;

export const selectiveScan: KernelSet = {
  symbols: [
    "selectiveScan",
    "selectiveScanBackward",
    "selectiveScanBackwardTokens",
    "selectiveScanBackwardParameters",
  ],
  sizes: ["batch", "length", "dInner", "dState", "groups", "softplus"],
  forward: {
    passes: (sizes) => [
      { symbol: "selectiveScan", tasks: sizes.batch * sizes.groups * blocksOfGroup(sizes) },
    ],
    work,
  },
  backward: {
    passes(sizes) {
      const { batch, length, dInner, dState, groups } = sizes;
      return [
        { symbol: "selectiveScanBackward", tasks: batch * groups * backwardTasks(sizes) },
        { symbol: "selectiveScanBackwardTokens", tasks: batch * groups * Math.ceil(length / stepsOfTask) },
        { symbol: "selectiveScanBackwardParameters", tasks: Math.ceil((dState * dInner) / columnsOfTask) },
      ];
    },
    scratch: backwardScratch,
    work: (sizes) => 3 * work(sizes),
  },
};
