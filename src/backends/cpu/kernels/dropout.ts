import { blocks, type KernelSet, onePass } from "./table.ts";

export const dropout: KernelSet = {
  symbols: ["dropout", "dropoutBackward"],
  sizes: ["size", "threshold", "scale"],
  floats: ["scale"],
  forward: onePass("dropout", ({ size }) => blocks(size)),
  backward: onePass("dropoutBackward", ({ size }) => blocks(size)),
};
