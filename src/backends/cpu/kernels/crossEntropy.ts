import { rowTasks } from "./softmax.ts";
import { type KernelSet, onePass } from "./table.ts";

export const crossEntropy: KernelSet = {
  symbols: ["crossEntropyRows", "crossEntropy", "crossEntropyBackward"],
  sizes: ["rows", "vocabulary", "ignore"],
  forward: {
    passes: ({ rows, vocabulary }) => [
      { symbol: "crossEntropyRows", tasks: rowTasks(rows, vocabulary) },
      { symbol: "crossEntropy", tasks: 1 },
    ],
    scratch: ({ rows }) => rows,
  },
  backward: onePass("crossEntropyBackward", ({ rows, vocabulary }) => rowTasks(rows, vocabulary)),
};
