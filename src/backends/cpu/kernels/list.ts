import { DeviceError } from "../../../tensor/errors.ts";
import { activationSets } from "./activation.ts";
import { adamw } from "./adamw.ts";
import { arithmeticSets } from "./arithmetic.ts";
import { attention } from "./attention.ts";
import { cacheSets } from "./cache.ts";
import { causalConv1d } from "./causalConv1d.ts";
import { crossEntropy } from "./crossEntropy.ts";
import { diagonalFilter } from "./diagonalFilter.ts";
import { diagonalDiscretize, diagonalScan } from "./diagonalScan.ts";
import { denseScan } from "./denseScan.ts";
import { discretize } from "./discretize.ts";
import { dplrScan } from "./dplrScan.ts";
import { dplrReadout, dplrSpectrum } from "./dplrSpectrum.ts";
import { dropout } from "./dropout.ts";
import { embedding } from "./embedding.ts";
import { clipFactor, sumOfSquares } from "./gradientNorm.ts";
import { fftConv } from "./fftConv.ts";
import { inverseRealFft } from "./inverseRealFft.ts";
import { fmaProbe, readProbe } from "./probe.ts";
import { reduceSets } from "./reduce.ts";
import { layerNorm, rmsNorm } from "./rmsNorm.ts";
import { matmul } from "./matmul.ts";
import { rope } from "./rope.ts";
import { selectiveScan } from "./selectiveScan.ts";
import { sliceSets } from "./slice.ts";
import { softmax } from "./softmax.ts";
import { blocks, type KernelSet, onePass } from "./table.ts";

/** Every op that the CPU has kernels for, by name. */
export const kernelSets: Readonly<Record<string, KernelSet>> = {
  ...activationSets,
  ...arithmeticSets,
  ...reduceSets,
  ...sliceSets,
  assign: { symbols: ["assign"], sizes: ["size"], forward: onePass("assign", ({ size }) => blocks(size)) },
  assignIntegers: { symbols: [], sizes: ["size"], forward: onePass("assign", ({ size }) => blocks(size)) },
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
  attention,
  rope,
  ...cacheSets,
  causalConv1d,
  fftConv,
  discretize,
  denseScan,
  selectiveScan,
  diagonalFilter,
  diagonalDiscretize,
  diagonalScan,
  dplrScan,
  dplrSpectrum,
  dplrReadout,
  inverseRealFft,
  readProbe,
  fmaProbe,
};

/** The C functions behind them. The position of a name is the number by which a program calls it. */
export const symbols: readonly string[] = Object.values(kernelSets).flatMap((set) => set.symbols);

/** FNV-1a over the names in order: a build made from another list must not be loaded. */
export const kernelListHash: number = [...symbols.join()].reduce(
  (hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0,
  0x811c9dc5,
);

/** Refuses kernels built from another list. */
export function expectSameList(device: string, hash: number): void {
  if (hash === kernelListHash) return;
  throw new DeviceError(
    `${device}: the kernels are of another version than the program. Run \`npm run build\`.`,
  );
}
