import { blocks, type KernelSet, onePass } from "./table.ts";

export const adamw: KernelSet = {
  symbols: ["adamw"],
  sizes: ["size", "beta1", "beta2", "rest1", "rest2", "epsilon", "weightDecay"],
  floats: ["beta1", "beta2", "rest1", "rest2", "epsilon", "weightDecay"],
  forward: onePass("adamw", ({ size }) => blocks(size)),
};
