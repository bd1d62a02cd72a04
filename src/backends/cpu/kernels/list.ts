import { adamw } from "./adamw.ts";
import { crossEntropy } from "./crossEntropy.ts";
import { dropout } from "./dropout.ts";
import { embedding } from "./embedding.ts";
import { clipFactor, sumOfSquares } from "./gradientNorm.ts";
import { layerNorm, rmsNorm } from "./rmsNorm.ts";
import { matmul } from "./matmul.ts";
import { softmax } from "./softmax.ts";
import { blocks, type KernelSet, onePass } from "./table.ts";

/** Every op that the CPU has kernels for, by name. */
export const kernelSets: Readonly<Record<string, KernelSet>> = {
  reshape: {
    symbols: ["reshapeBackward"],
    sizes: ["size"],
    backward: onePass("reshapeBackward", ({ size }) => blocks(size)),
  },
  rmsNorm,
  layerNorm,
  embedding,
  dropout,
  softmax,
  crossEntropy,
  adamw,
  sumOfSquares,
  clipFactor,
  matmul,
};

/** The C functions behind them. The position of a name is the number by which a program calls it. */
export const symbols: readonly string[] = Object.values(kernelSets).flatMap((set) => set.symbols);
