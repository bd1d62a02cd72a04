import { blocks, type KernelSet, onePass } from "./table.ts";

export const sumOfSquares: KernelSet = {
  symbols: ["sumOfSquaresBlocks", "sumOfSquares"],
  sizes: ["size"],
  forward: {
    passes: ({ size }) => [
      { symbol: "sumOfSquaresBlocks", tasks: blocks(size) },
      { symbol: "sumOfSquares", tasks: 1 },
    ],
    scratch: ({ size }) => blocks(size),
  },
};

export const clipFactor: KernelSet = {
  symbols: ["clipFactor"],
  sizes: ["maxNorm"],
  floats: ["maxNorm"],
  forward: onePass("clipFactor", () => 1),
};
