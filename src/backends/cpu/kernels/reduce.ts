import type { Sizes } from "../../../tensor/op.ts";
import { type KernelSet, onePass } from "./table.ts";

export const reduceSets: Readonly<Record<string, KernelSet>> = {
  sum: { ...reduction("sum"), backward: onePass("sumBackward", tasks) },
  mean: { ...reduction("mean"), backward: onePass("meanBackward", tasks) },
  max: { ...reduction("max"), backward: onePass("maxBackward", ({ outer, inner }) => outer * pieces(inner)) },
  argmax: {
    symbols: ["argmaxForward"],
    sizes: ["rows", "n"],
    forward: onePass("argmaxForward", ({ rows }) => rows),
  },
};

function reduction(name: string): KernelSet {
  const symbol = `${name}Forward`;
  return {
    symbols: [symbol, `${name}Backward`],
    sizes: ["outer", "n", "inner"],
    forward: {
      passes(sizes) {
        const first = { symbol, tasks: tasks(sizes) };
        return blocksOf(sizes) === 1
          ? [first]
          : [first, { symbol, tasks: sizes.outer * pieces(sizes.inner) }];
      },
      scratch: (sizes) => (blocksOf(sizes) === 1 ? 0 : sizes.outer * blocksOf(sizes) * sizes.inner),
    },
  };
}

/** Parts that n is cut into, as in reduce.c. */
function blocksOf({ n, inner }: Sizes): number {
  return Math.max(1, Math.ceil(n / (inner === 1 ? 4096 : 256)));
}

function pieces(inner: number): number {
  return Math.ceil(inner / 1024);
}

function tasks(sizes: Sizes): number {
  return sizes.outer * blocksOf(sizes) * pieces(sizes.inner);
}
