import type { KernelSet } from "../kernel.ts";
import { activationSets } from "./activation.ts";
import { adamw } from "./adamw.ts";
import { arithmeticSets } from "./arithmetic.ts";
import { attention } from "./attention.ts";
import { advance, assignAt } from "./cache.ts";
import { causalConv1d } from "./causalConv1d.ts";
import { chain } from "./chain.ts";
import { convStep } from "./convStep.ts";
import { crossEntropy } from "./crossEntropy.ts";
import { denseScan } from "./denseScan.ts";
import { diagonalDiscretize } from "./diagonalDiscretize.ts";
import { diagonalFilter } from "./diagonalFilter.ts";
import { diagonalScan } from "./diagonalScan.ts";
import { discretize } from "./discretize.ts";
import { dplrReadout } from "./dplrReadout.ts";
import { dplrScan } from "./dplrScan.ts";
import { dplrSpectrum } from "./dplrSpectrum.ts";
import { dropout } from "./dropout.ts";
import { embedding } from "./embedding.ts";
import { fftConv } from "./fftConv.ts";
import { clipFactor, sumOfSquares } from "./gradientNorm.ts";
import { inverseRealFft } from "./inverseRealFft.ts";
import { layerNorm } from "./layerNorm.ts";
import { matmul, matmulAdd, matmulSplit } from "./matmul.ts";
import { matmulNorm } from "./matmulNorm.ts";
import { copyProbe, fmaProbe, readProbe } from "./probe.ts";
import { project } from "./project.ts";
import { reduceSets } from "./reduce.ts";
import { reshapeSets } from "./reshape.ts";
import { rmsNorm } from "./rmsNorm.ts";
import { rope } from "./rope.ts";
import { selectiveProject } from "./selectiveProject.ts";
import { selectiveScan } from "./selectiveScan.ts";
import { selectiveStep } from "./selectiveStep.ts";
import { softmax } from "./softmax.ts";
import { sumParts } from "./sumParts.ts";
import { transpose } from "./transpose.ts";

/** Every op that the GPU has kernels for, by name. */
export const kernelSets: Readonly<Record<string, KernelSet>> = {
  ...activationSets,
  ...arithmeticSets,
  ...reduceSets,
  ...reshapeSets,
  adamw,
  advance,
  assignAt,
  attention,
  causalConv1d,
  clipFactor,
  copyProbe,
  crossEntropy,
  denseScan,
  diagonalDiscretize,
  diagonalFilter,
  diagonalScan,
  discretize,
  dplrReadout,
  dplrScan,
  dplrSpectrum,
  dropout,
  embedding,
  fftConv,
  fmaProbe,
  inverseRealFft,
  layerNorm,
  matmul,
  readProbe,
  rmsNorm,
  rope,
  selectiveScan,
  softmax,
  sumOfSquares,
  transpose,
  // What stands for several ops inside of a program: fusion/fusedOps.ts.
  chain,
  convStep,
  matmulAdd,
  matmulNorm,
  matmulSplit,
  project,
  selectiveProject,
  selectiveStep,
  sumParts,
};
