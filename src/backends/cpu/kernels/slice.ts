import type { Sizes } from "../../../tensor/op.ts";
import { type KernelSet, onePass } from "./table.ts";

/** slice, transpose, and split and concat for each number of parts. */
export const sliceSets: Readonly<Record<string, KernelSet>> = {
  slice: cut("slice", ["before", "width", "after"]),
  transpose: {
    symbols: ["transposeForward", "transposeBackward"],
    sizes: ["outer", "n", "m"],
    forward: onePass("transposeForward", ({ outer, n }) => outer * Math.ceil(n / 32)),
    backward: onePass("transposeBackward", ({ outer, m }) => outer * Math.ceil(m / 32)),
  },
  ...Object.fromEntries(
    [2, 3, 4, 5, 6, 7, 8].flatMap((count) => {
      const widths = Array.from({ length: count }, (_, i) => `w${i}`);
      return [`split${count}`, `concat${count}`].map((name) => [name, cut(name, widths)]);
    }),
  ),
};

/** Rows whose columns are parts of the given widths; a task is up to 16384 columns of one, as in slice.c. */
function cut(name: string, widths: readonly string[]): KernelSet {
  const tasks = (sizes: Sizes) =>
    sizes.rows * Math.ceil(widths.reduce((sum, width) => sum + sizes[width], 0) / 16384);
  return {
    symbols: [`${name}Forward`, `${name}Backward`],
    sizes: ["rows", ...widths],
    forward: onePass(`${name}Forward`, tasks),
    backward: onePass(`${name}Backward`, tasks),
  };
}
