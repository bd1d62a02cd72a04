import { blocks, type KernelSet, onePass } from "./table.ts";

export const cacheSets: Readonly<Record<string, KernelSet>> = {
  assignAt: {
    symbols: ["assignAt"],
    sizes: ["batch", "capacity", "length", "width"],
    forward: {
      ...onePass("assignAt", ({ batch, length, width }) => blocks(batch * length * width)),
      work: ({ batch, length, width }) => 2 * batch * length * width,
    },
  },
  advance: { symbols: ["advance"], sizes: ["by"], forward: onePass("advance", () => 1) },
};
