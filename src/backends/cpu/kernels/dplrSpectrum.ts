import type { Sizes } from "../../../tensor/op.ts";
import type { Kernel, KernelSet, Machine } from "./table.ts";

const sizes = ["channels", "n", "rank", "length"];

/** Floats of a channel's table: dplrTableSize of dplrSpectrum.h. */
const tableSize = ({ n, rank }: Sizes) => n * (2 + 4 * (rank === 1 ? 2 : 5));
/** Floats of a thread: dplrBackScratch of dplrSpectrumBackward.h. */
const backScratch = (call: Sizes, lanes: number) =>
  Math.ceil(tableSize(call) / 16) * 16 + call.n * (2 * products(call) + 2) * lanes;
const products = ({ rank }: Sizes) => (rank + 1) ** 2;

/** Operations on frequencies, as counted in dplrSpectrum.h and dplrSpectrumBackward.h. */
const poles = ({ channels, n, length }: Sizes) => (channels * n * length) / 2;
const forwardWork = (call: Sizes) => poles(call) * (10 + 4 * products(call));
const backwardWork = (call: Sizes) => poles(call) * (38 + 12 * products(call));

function backward(symbol: string): Kernel {
  return {
    passes: ({ channels }) => [{ symbol, tasks: channels }],
    scratch: (call, { threads, lanes }: Machine) => threads * backScratch(call, lanes),
    work: backwardWork,
  };
}

export const dplrSpectrum: KernelSet = {
  symbols: ["dplrSpectrum", "dplrSpectrumBackward"],
  sizes,
  forward: {
    passes: ({ channels }) => [{ symbol: "dplrSpectrum", tasks: channels }],
    scratch: (call, { threads }) => threads * tableSize(call),
    work: forwardWork,
  },
  backward: backward("dplrSpectrumBackward"),
};

export const dplrReadout: KernelSet = {
  symbols: ["dplrReadout"],
  sizes,
  forward: backward("dplrReadout"),
};
