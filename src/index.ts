/** Everything portable: it runs on plain loops, anywhere, with nothing to set up. */
import { plainBackend } from "./backends/plain.ts";
import type { Float } from "./tensor/backend.ts";
import { Device } from "./tensor/device.ts";

/** A device of plain loops, in float32 or float64: slow, exact, everywhere. */
export function plainDevice(float: Float = "f32"): Device {
  return new Device(plainBackend(float));
}

export type { Backend, Call, Executable, Plan, Dtype, Float, Numbers } from "./tensor/backend.ts";
export { gradients, type Gradients } from "./tensor/autograd.ts";
export { capture, type Program, trace } from "./tensor/capture.ts";
export { Device } from "./tensor/device.ts";
export { DeviceError, DeviceLostError, FormatError, UsageError } from "./tensor/errors.ts";
export { planMemory } from "./tensor/plan.ts";
export { apply, defineOp, type Op, type Shapes, type Sizes } from "./tensor/op.ts";
export { reshape } from "./tensor/reshape.ts";
export { scope } from "./tensor/scope.ts";
export { type Shape, ShapeError } from "./tensor/shape.ts";
export { Tensor } from "./tensor/tensor.ts";

export { exp, gelu, log, neg, relu, sigmoid, silu, softplus, sqrt, square, tanh } from "./ops/activation.ts";
export { adamw, adamwSchedule, type AdamWOptions } from "./ops/adamw.ts";
export { add, addScalar, div, mul, scale, sub } from "./ops/arithmetic.ts";
export { assign } from "./ops/assign.ts";
export { attention, type AttentionOptions } from "./ops/attention.ts";
export { advance, assignAt } from "./ops/cache.ts";
export { causalConv1d, type CausalConv1dOptions } from "./ops/causalConv1d.ts";
export { crossEntropy, type CrossEntropyOptions } from "./ops/crossEntropy.ts";
export { diagonalDiscretize } from "./ops/diagonalDiscretize.ts";
export { diagonalFilter, type DiagonalFilterOptions } from "./ops/diagonalFilter.ts";
export { diagonalRecurrence, diagonalScan, type DiagonalScanOptions } from "./ops/diagonalScan.ts";
export type { Discretization } from "./ops/diagonalSystem.ts";
export { denseScan } from "./ops/denseScan.ts";
export { type DenseRule, discretize } from "./ops/discretize.ts";
export { dplrFilter } from "./ops/dplrFilter.ts";
export { dplrReadout } from "./ops/dplrReadout.ts";
export { dplrScan, type DplrScanOptions } from "./ops/dplrScan.ts";
export { dplrSpectrum } from "./ops/dplrSpectrum.ts";
export { dropout } from "./ops/dropout.ts";
export { embedding } from "./ops/embedding.ts";
export { fftConv, type FftConvOptions } from "./ops/fftConv.ts";
export { clipFactor, type ClipOptions, sumOfSquares } from "./ops/gradientNorm.ts";
export { krylovFilter } from "./ops/krylovFilter.ts";
export { inverseRealFft } from "./ops/inverseRealFft.ts";
export { layerNorm } from "./ops/layerNorm.ts";
export { matmul, type Transposes } from "./ops/matmul.ts";
export { argmax, max, mean, sum } from "./ops/reduce.ts";
export { concat, slice, split, transpose } from "./ops/reshape.ts";
export { rmsNorm } from "./ops/rmsNorm.ts";
export { rope, type RopeOptions } from "./ops/rope.ts";
export { selectiveScan, type SelectiveScanOptions } from "./ops/selectiveScan.ts";
export { softmax } from "./ops/softmax.ts";

export {
  type BackboneConfig,
  type ForwardOptions,
  type Mixer,
  type Model,
  type ModelKind,
  type Named,
} from "./models/backbone.ts";
export {
  createLanguageModel,
  createSequenceModel,
  languageConfig,
  languageModel,
  modelKindOf,
  modelKinds,
  sequenceConfig,
  sequenceModel,
} from "./models/catalog.ts";
export { scaleStepSizes } from "./models/samplingRate.ts";
export { type ConfigOf, type Field, type Fields, oneOf } from "./models/config.ts";
export { type LanguageConfig, LanguageModel } from "./models/languageModel.ts";
export type { NamedTensors, ParameterSource } from "./models/layers.ts";
export { hippoKind, HippoLayer, HippoRnn } from "./models/hippo.ts";
export { Lssl, lsslKind } from "./models/lssl.ts";
export {
  createMamba,
  mamba,
  MambaBlock,
  type MambaBlockConfig,
  type MambaConfig,
  mambaConfig,
  mambaKind,
} from "./models/mamba.ts";
export { H3, h3Kind } from "./models/h3.ts";
export { S4, s4Kind } from "./models/s4.ts";
export { S6 } from "./models/s6.ts";
export { S4D, s4dKind } from "./models/s4d.ts";
export { S4Block } from "./models/s4Block.ts";
export { type MaskOptions, type SequenceConfig, SequenceModel } from "./models/sequenceModel.ts";
export { CausalAttention, type TransformerConfig, transformerKind } from "./models/transformer.ts";

export { ErrorSum, type ForecastErrors, naiveScale, seasonalNaive } from "./math/forecastErrors.ts";
export {
  exponentialWeight,
  fourierBasis,
  lagTBasis,
  legSBasis,
  legSHistoryBasis,
  legTBasis,
  lmuBasis,
  recall,
  windowWeight,
} from "./math/basis.ts";
export { asReal, withConjugates } from "./math/complex.ts";
export { bilinearComplex, s4dInv, s4dInv2, s4dLin, s4dQuad, s4dReal, zohComplex } from "./math/diagonal.ts";
export { backwardEuler, bilinear, type Discrete, euler, gbt, zoh } from "./math/discretize.ts";
export { type Eigen, generalEigen, skewEigen } from "./math/eigen.ts";
export { cauchyFilter, naiveFilter, recoveredC, truncatedC, vandermondeFilter } from "./math/filter.ts";
export {
  fourier,
  fourierDecay,
  fourierNormal,
  generalizedLagT,
  lagT,
  legS,
  legSNormal,
  legT,
  lmu,
  type System,
} from "./math/hippo.ts";
export {
  denseOf,
  type Dplr,
  dplr,
  dplrMatrix,
  legSEigenvectors,
  type Measure,
  measures,
  type Nplr,
  nplr,
} from "./math/nplr.ts";
export {
  denseStepper,
  legSDiscrete,
  type LegSRule,
  legSStepper,
  projectLegS,
  remember,
} from "./math/projection.ts";
export { type Random, random } from "./math/random.ts";
export {
  fromDplr,
  fromEigen,
  fromEigenvectors,
  inFloat64,
  relativeError,
  type Round,
  spectralAbscissa,
} from "./math/stability.ts";
export { type Batch, ignore, type Task } from "./data/task.ts";
export type { LabelledBatch, LabelledTask } from "./data/labelled.ts";
export type { SignalBatch, SignalTask } from "./data/signal.ts";
export { adding } from "./data/adding.ts";
export {
  type ClassificationConfig,
  type ClassificationTask,
  classificationTask,
} from "./data/classification.ts";
export { copying } from "./data/copying.ts";
export { columnOf, csvLines, isNumeric, mostCsvBytes, numberIn, readCsv } from "./data/csv.ts";
export { delay } from "./data/delay.ts";
export {
  Feed,
  fitView,
  forecastTask,
  normalizations,
  type Parts,
  type View,
  type Windows,
  windowsOf,
} from "./data/forecasting.ts";
export { type IdxArray, readIdx } from "./data/idx.ts";
export { inductionHeads } from "./data/inductionHeads.ts";
export {
  imageSequences,
  type LabelledFile,
  type LabelledSequence,
  type LabelledSequences,
  type LongFormat,
  readLabelledFiles,
  readLongFormat,
} from "./data/labelledSequences.ts";
export { listOps, listOpsTokens } from "./data/listOps.ts";
export { reconstruct } from "./data/reconstruct.ts";
export { selectiveCopying } from "./data/selectiveCopying.ts";
export { fitScaling, readSeries, type Scaling, type Series } from "./data/series.ts";
export { textTask } from "./data/text.ts";
export { whiteSignal } from "./data/whiteSignal.ts";
export { decode as decodeBytes, encode as encodeBytes, Utf8Stream } from "./text/bytes.ts";

export { evaluate, type EvaluateOptions } from "./train/evaluate.ts";
export { type ForecastScore, ForecastScorer } from "./train/forecastScore.ts";
export {
  Forecaster,
  type ForecastScores,
  ForecastStream,
  scoreForecasts,
  type ScoreOptions,
} from "./train/forecaster.ts";
export { fitLinearForecast, type LinearForecast } from "./train/linearForecast.ts";
export {
  atStart,
  type Progress,
  type Stage,
  train,
  type TrainEvent,
  type TrainOptions,
} from "./train/loop.ts";
export { classification } from "./train/classification.ts";
export {
  type BatchSource,
  type Extent,
  languageObjective,
  type Objective,
  type Pass,
  type Score,
  type Tally,
} from "./train/objective.ts";
export { regression } from "./train/regression.ts";
export type { OptimizerOptions } from "./train/optimizer.ts";
export { schedule, type ScheduleName, scheduleNames, type ScheduleOptions } from "./train/schedule.ts";
export {
  DivergenceError,
  type MemoryPlan,
  type StepResult,
  Trainer,
  type TrainerOptions,
} from "./train/trainer.ts";

export { Decoder } from "./generate/decoder.ts";
export {
  type GenerateOptions,
  generateText,
  type GenerateTextOptions,
  generateTokens,
} from "./generate/generate.ts";
export { checkSampling, sample, type Sampling } from "./generate/sampling.ts";
export { halveWeights } from "./generate/halves.ts";

export {
  type Loaded,
  loadModel,
  loadTraining,
  saveModel,
  saveTraining,
  type Training,
} from "./checkpoint/checkpoint.ts";
export type { Files } from "./checkpoint/files.ts";
export { memoryFiles } from "./checkpoint/memoryFiles.ts";
export { openSafetensors, type StoredTensors, writeSafetensors } from "./checkpoint/safetensors.ts";
export { openCheckpoint } from "./checkpoint/sharded.ts";
