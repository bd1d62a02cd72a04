import { type KernelSet, onePass } from "./table.ts";

/** Tasks of about 4096 elements: rowsOfTask of softmax.h. */
export function rowTasks(rows: number, size: number): number {
  return Math.ceil(rows / Math.max(1, Math.floor(4096 / size)));
}

export const softmax: KernelSet = {
  symbols: ["softmax", "softmaxBackward"],
  sizes: ["rows", "size"],
  forward: onePass("softmax", ({ rows, size }) => rowTasks(rows, size)),
  backward: onePass("softmaxBackward", ({ rows, size }) => rowTasks(rows, size)),
};
