import type { Sizes } from "../../../tensor/op.ts";
import { type KernelSet, onePass } from "./table.ts";

/** As in diagonalFilter.c: modes of a block, positions of a row. */
const modesOfBlock = 32;
const span = 64;

const rows = ({ length }: Sizes) => Math.ceil(length / span);
const channels = (sizes: Sizes) => sizes.channels;
const work = ({ channels, n, length }: Sizes) => channels * n * length;

export const diagonalFilter: KernelSet = {
  symbols: ["diagonalFilter", "diagonalFilterBackward"],
  sizes: ["channels", "n", "length", "bilinear"],
  forward: {
    ...onePass("diagonalFilter", channels),
    scratch: (sizes, { threads }) => threads * 2 * modesOfBlock * (span + rows(sizes)),
    work,
  },
  backward: {
    ...onePass("diagonalFilterBackward", channels),
    scratch: (sizes, { threads, lanes }) => threads * (lanes * span + rows(sizes) * (2 * lanes + span)),
    work: (sizes) => 2 * work(sizes),
  },
};
