import type { MambaConfig } from "../../node.ts";

/**
 * What one element of the scanned state takes on the FMA units at the least, in instructions; each counts as two
 * flops, fused or not, since that is the room it takes.
 *   forward: Δ A, ten for the exponential (range reduction and a polynomial of degree 6), Δu B, one for h, one for y
 */
const scanForward = 14;

/**
 *   backward: all of that but y, to have h again; then one each for g = C ds + a g′, dC, dB, and the sums of g B and
 *   g a h′ A for Δ; three for dA and a h′; one for the decay of g
 */
const scanBackward = 13 + 9;

/** A scan over (batch, length, dInner) with dState numbers a channel. */
export function scanFlops(states: number, pass: "forward" | "backward"): number {
  return 2 * states * (pass === "forward" ? scanForward : scanBackward);
}

/**
 * A complex Fourier transform of n numbers in fused multiply-adds alone: six a butterfly of two numbers, log₂ n times
 * (Linzer & Feig 1993); two flops each.
 */
function transformFlops(n: number): number {
  return 6 * n * Math.log2(n);
}

/**
 * Convolutions of `sequences` by `filters`, both of `length`, whose 2 · length real numbers are as many complex ones as
 * the length (fft.h). Forward: there, a product of four instructions, and back; and there for each filter. Backward: u
 * and dy there, two products and du back; and for each filter there, and back for its gradient.
 */
export function convolutionFlops(
  sequences: number,
  filters: number,
  length: number,
  pass: "forward" | "backward",
): number {
  const transform = transformFlops(length);
  const product = 2 * 4 * length;
  return pass === "forward"
    ? sequences * (2 * transform + product) + filters * transform
    : sequences * (3 * transform + 2 * product) + filters * 2 * transform;
}

/** Weights of the matrix products of all blocks of a Mamba: one multiply-add of each per token. */
export function blockWeights({ dModel, expand, dState, dtRank, layers }: MambaConfig): number {
  const dInner = expand * dModel;
  const inputs = dModel * 2 * dInner;
  const selection = dInner * (dtRank + 2 * dState) + dtRank * dInner;
  return layers * (inputs + selection + dInner * dModel);
}

/** Weights of the head. */
export function headWeights({ dModel, vocabulary }: MambaConfig): number {
  return dModel * vocabulary;
}

/** Numbers of the scanned state of one sequence, in all layers. */
export function scanStates({ dModel, expand, dState, layers }: MambaConfig): number {
  return layers * expand * dModel * dState;
}

/** Numbers of the whole state of one sequence: of the convolutions and of the scans. */
export function stateNumbers(config: MambaConfig): number {
  const { dModel, expand, dConv, layers } = config;
  return scanStates(config) + layers * expand * dModel * (dConv - 1);
}

/** A forward pass over some tokens: products, scans, and the head for those tokens that need it. */
export function forwardFlops(config: MambaConfig, tokens: number, headTokens: number): number {
  const products = 2 * (tokens * blockWeights(config) + headTokens * headWeights(config));
  return products + scanFlops(tokens * scanStates(config), "forward");
}

/** Forward and backward pass: each product once forward and twice backward, for its input and for its weight. */
export function trainingFlops(config: MambaConfig, tokens: number): number {
  const products = 2 * tokens * (blockWeights(config) + headWeights(config));
  const states = tokens * scanStates(config);
  return 3 * products + scanFlops(states, "forward") + scanFlops(states, "backward");
}

/** What counts of an S4D: its blocks have a product of dModel × 2 dModel. */
export interface S4DSizes {
  readonly dModel: number;
  readonly layers: number;
  readonly vocabulary: number;
  readonly dState: number;
}

/**
 * Forward and backward pass of an S4D over `batch` sequences: products as above, the convolutions, and six multiply-adds
 * for each term of a filter (diagonalFilter.c), of which there are half as many as states.
 */
export function s4dTrainingFlops(sizes: S4DSizes, batch: number, length: number): number {
  const { dModel, layers, vocabulary, dState } = sizes;
  const products = 6 * batch * length * (layers * 2 * dModel * dModel + dModel * vocabulary);
  const convolutions = (["forward", "backward"] as const).map((pass) =>
    convolutionFlops(batch * dModel, dModel, length, pass),
  );
  const filters = 2 * 6 * dModel * length * (dState / 2);
  return products + layers * (convolutions[0] + convolutions[1] + filters);
}
