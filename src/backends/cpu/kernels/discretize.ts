import type { KernelSet } from "./table.ts";

/** A task is a channel; backward, a second pass adds up the channels of an A. Doubles count as two floats. */
export const discretize: KernelSet = {
  symbols: ["discretize", "discretizeBackward"],
  sizes: ["ssms", "channels", "N", "alpha"],
  floats: ["alpha"],
  forward: {
    passes: ({ channels }) => [{ symbol: "discretize", tasks: channels }],
    scratch: ({ N }, { threads }) => threads * 2 * N * (2 * N + 1),
    work: ({ channels, N }) => 4 * channels * N ** 3,
  },
  backward: {
    passes: ({ channels, ssms }) => [
      { symbol: "discretizeBackward", tasks: channels },
      { symbol: "discretizeBackward", tasks: ssms },
    ],
    scratch: ({ channels, N }, { threads }) => channels * N * (N + 1) + threads * 3 * N * N,
    work: ({ channels, N }) => 4 * channels * N ** 3,
  },
};
