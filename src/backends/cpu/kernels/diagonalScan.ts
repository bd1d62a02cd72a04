import type { Sizes } from "../../../tensor/op.ts";
import { type KernelSet, onePass } from "./table.ts";

/** As in diagonalScan.h: how many channels and steps go together. */
const channelsOfBlock = 16;
const stepsOfChunk = 16;
/** COLUMNS of rows.h. */
const columnsOfTask = 32;

const blocks = ({ batch, channels }: Sizes) => batch * Math.ceil(channels / channelsOfBlock);
const states = ({ n }: Sizes) => 2 * n * channelsOfBlock;
const work = ({ batch, length, channels, n }: Sizes) => batch * length * channels * n;

/** Floats: the sums that sequences leave for the next pass, and what each thread needs for a block of channels. */
function backwardScratch(sizes: Sizes, threads: number): number {
  const { batch, length, channels, n } = sizes;
  const sums = batch * Math.ceil(((6 * n + 1) * channels) / 16) * 16;
  return sums + threads * states(sizes) * (7 + Math.ceil(length / stepsOfChunk));
}

export const diagonalDiscretize: KernelSet = {
  symbols: ["diagonalDiscretize", "diagonalDiscretizeBackward"],
  sizes: ["channels", "n", "bilinear"],
  forward: {
    ...onePass("diagonalDiscretize", ({ channels }) => channels),
    work: ({ channels, n }) => 20 * channels * n,
  },
  backward: {
    ...onePass("diagonalDiscretizeBackward", ({ channels }) => channels),
    work: ({ channels, n }) => 30 * channels * n,
  },
};

export const diagonalScan: KernelSet = {
  symbols: ["diagonalScan", "diagonalScanBackward", "diagonalScanBackwardSystem"],
  sizes: ["batch", "length", "channels", "n"],
  forward: {
    ...onePass("diagonalScan", blocks),
    scratch: (sizes, { threads }) => threads * 4 * states(sizes),
    work: (sizes) => 2 * work(sizes),
  },
  backward: {
    passes: (sizes) => [
      { symbol: "diagonalScanBackward", tasks: blocks(sizes) },
      {
        symbol: "diagonalScanBackwardSystem",
        tasks: Math.ceil((2 * sizes.n * sizes.channels) / columnsOfTask),
      },
    ],
    scratch: (sizes, { threads }) => backwardScratch(sizes, threads),
    work: (sizes) => 6 * work(sizes),
  },
};
