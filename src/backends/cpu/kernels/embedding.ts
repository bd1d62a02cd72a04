import type { KernelSet } from "./table.ts";

/** CHANNELS and TOKENS of embedding.c. */
const channelsOfTask = 16;
const tokensOfTask = 256;

export const embedding: KernelSet = {
  symbols: ["embedding", "embeddingBackward"],
  sizes: ["tokens", "dModel", "vocabulary"],
  forward: {
    passes: ({ tokens, dModel }) => [
      {
        symbol: "embedding",
        tasks: Math.ceil(dModel / channelsOfTask) * Math.ceil(tokens / tokensOfTask),
      },
    ],
    work: ({ tokens, dModel }) => 4 * tokens * dModel,
  },
  backward: {
    passes: ({ dModel }) => [{ symbol: "embeddingBackward", tasks: Math.ceil(dModel / channelsOfTask) }],
  },
};
