import type { Sizes } from "../../../tensor/op.ts";
import type { Kernel, KernelSet } from "./table.ts";

/** ROOTS_OF_TASK of inverseRealFft.c. */
const rootsOfTask = 1024;

/** Of the complex transform, and of Bluestein's convolution, 0 where every prime factor is 2, 3 or 5: as openRows. */
function transformSizes(length: number): { size: number; around: number } {
  const size = length % 2 === 0 ? length / 2 : length;
  let rest = size;
  for (const prime of [2, 3, 5]) while (rest % prime === 0) rest /= prime;
  return { size, around: rest === 1 ? 0 : 2 ** Math.ceil(Math.log2(2 * size - 1)) };
}

function pass(symbol: string): Kernel {
  return {
    passes({ rows, length }, { lanes }) {
      const { size, around } = transformSizes(length);
      return [
        { symbol: `${symbol}Roots`, tasks: Math.ceil((2 * (size + around)) / rootsOfTask) },
        ...(around > 0 ? [{ symbol: `${symbol}Chirp`, tasks: 1 }] : []),
        { symbol, tasks: Math.ceil(rows / lanes) },
      ];
    },
    scratch({ length }, { threads, lanes }) {
      const { size, around } = transformSizes(length);
      const tables = Math.ceil((4 * size + 6 * around) / 16) * 16;
      return tables + threads * 4 * (Math.max(size, around) + 1) * lanes;
    },
    work: ({ rows, length }: Sizes) => 2.5 * rows * length * Math.log2(length + 1),
  };
}

export const inverseRealFft: KernelSet = {
  symbols: ["inverseRealFft", "inverseRealFftBackward"].flatMap((symbol) => [
    `${symbol}Roots`,
    `${symbol}Chirp`,
    symbol,
  ]),
  sizes: ["rows", "length"],
  forward: pass("inverseRealFft"),
  backward: pass("inverseRealFftBackward"),
};
