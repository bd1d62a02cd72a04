import type { Sizes } from "../../../tensor/op.ts";
import type { KernelSet, Machine } from "./table.ts";

/** As in attention.h: rows of a task, and the keys or queries that it meets at a time. */
const [rowsOfTask, rowsOfBlock] = [96, 64];
/** Of the pass before the backward ones: queries of a task. */
const queriesOfTask = 256;

const widthOf = ({ headDim }: Sizes) => 16 * Math.ceil(headDim / 16);
const rowBlocks = ({ length }: Sizes) => Math.ceil(length / rowsOfTask);
const keyBlocks = ({ keys }: Sizes) => Math.ceil(keys / rowsOfTask);
const queryTasks = (sizes: Sizes) => sizes.batch * sizes.heads * rowBlocks(sizes);

/** Of operations elsewhere: a tile does 16 multiplications in the time of one, a row alone 4. */
const work = ({ batch, length, keys, heads, headDim }: Sizes) =>
  (batch * heads * length * keys * headDim) / (length < 4 ? 2 : 8);

function backwardScratch(sizes: Sizes, { threads }: Machine): number {
  const queries = sizes.batch * sizes.heads * sizes.length + rowsOfBlock;
  const tiles = widthOf(sizes) * (4 * rowsOfTask + 4 * rowsOfBlock) + 2 * rowsOfTask * rowsOfBlock;
  return 2 * 16 * Math.ceil(queries / 16) + threads * tiles;
}

export const attention: KernelSet = {
  symbols: ["attention", "attentionShifts", "attentionBackwardKeys", "attentionBackwardQueries"],
  sizes: ["batch", "length", "keys", "heads", "kvHeads", "headDim", "scale"],
  floats: ["scale"],
  forward: {
    passes: (sizes) => [{ symbol: "attention", tasks: queryTasks(sizes) }],
    scratch: (sizes, { threads }) => threads * widthOf(sizes) * (2 * rowsOfTask + 2 * rowsOfBlock),
    work,
  },
  backward: {
    passes: (sizes) => [
      {
        symbol: "attentionShifts",
        tasks: Math.ceil((sizes.batch * sizes.length * sizes.heads) / queriesOfTask),
      },
      { symbol: "attentionBackwardKeys", tasks: sizes.batch * sizes.kvHeads * keyBlocks(sizes) },
      { symbol: "attentionBackwardQueries", tasks: queryTasks(sizes) },
    ],
    scratch: backwardScratch,
    work: (sizes) => 3 * work(sizes),
  },
};
