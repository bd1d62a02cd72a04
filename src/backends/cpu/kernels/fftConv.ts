import type { Sizes } from "../../../tensor/op.ts";
import type { KernelSet, Machine } from "./table.ts";

/** As in fft.h and fftConv.c: channels of a task, floats of an element, sequences added up together, nodes of a task. */
const channelsOfTask = 16;
const element = 2 * channelsOfTask;
const sequencesOfGroup = 8;
const nodesOfTask = 64;

const blocks = ({ channels }: Sizes) => Math.ceil(channels / channelsOfTask);
const groups = ({ batch }: Sizes) => Math.ceil(batch / sequencesOfGroup);

/** M of fft.h. */
function transformSize({ length }: Sizes): number {
  const doublings = (odd: number) => Math.max(0, Math.ceil(Math.log2(length / (16 * odd))));
  return Math.min(...[1, 3, 5, 9, 15, 45].map((odd) => 16 * odd * 2 ** doublings(odd)));
}

/**
 * Floats: the roots, the transforms of the filters and of the sums of groups, which for one sequence are in one place, and
 * what each thread needs for itself.
 */
function scratch(sizes: Sizes, { threads }: Machine, groups: number, own: number): number {
  const sums = sizes.batch > 1 ? groups : 0;
  return transformSize(sizes) * (2 + element * (blocks(sizes) * (1 + sums) + threads * own));
}

function work(sizes: Sizes): number {
  const size = transformSize(sizes);
  return (sizes.batch * sizes.channels * size * Math.log2(size)) / 2;
}

export const fftConv: KernelSet = {
  symbols: ["fftConvForward", "fftConvBackward"],
  sizes: ["batch", "length", "channels", "filterLength", "futureLength"],
  forward: {
    passes: (sizes) =>
      [Math.ceil(transformSize(sizes) / 2 / nodesOfTask), blocks(sizes), blocks(sizes) * sizes.batch].map(
        (tasks) => ({ symbol: "fftConvForward", tasks }),
      ),
    scratch: (sizes, machine) => scratch(sizes, machine, 0, 1),
    work,
  },
  backward: {
    passes: (sizes) =>
      [
        Math.ceil(transformSize(sizes) / 2 / nodesOfTask),
        blocks(sizes),
        blocks(sizes) * groups(sizes),
        blocks(sizes),
      ].map((tasks) => ({ symbol: "fftConvBackward", tasks })),
    scratch: (sizes, machine) => scratch(sizes, machine, groups(sizes), 2),
    work: (sizes) => 1.5 * work(sizes),
  },
};
