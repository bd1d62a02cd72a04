import { adamw, type AdamWOptions, adamwSchedule } from "../ops/adamw.ts";
import { clipFactor, sumOfSquares } from "../ops/gradientNorm.ts";
import { sum } from "../ops/reduce.ts";
import { concat, mostParts } from "../ops/reshape.ts";
import { capture, type Program } from "../tensor/capture.ts";
import type { Device } from "../tensor/device.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface OptimizerOptions {
  /** β₁, the decay of the first moment. Default 0.9. */
  readonly beta1?: number;
  /** β₂, the decay of the second. Default 0.95. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled weight decay, for the parameters that `decays` picks. Default 0.1. */
  readonly weightDecay?: number;
  /** The gradient is scaled down to this global norm; Infinity never scales. Default 1. */
  readonly maxNorm?: number;
  /** Which parameters decay. Default: all matrices but logA and those of `isSsm`; no biases, norms, D. */
  readonly decays?: (name: string, parameter: Tensor) => boolean;
  /** Which parameters are those of a state space model itself, A, B and Δ, to be trained slowly. Default: none. */
  readonly isSsm?: (name: string) => boolean;
  /** Their rate is never above this one (S4, appendix; arXiv 2206.11893, section 6). Default 1e-3. */
  readonly ssmLearningRate?: number;
}

/** As in the paper's code: no decay on A, D, biases and norms. */
export function decaysByDefault(name: string, parameter: Tensor): boolean {
  return parameter.shape.length >= 2 && !name.endsWith("logA");
}

/** First and second moment of each parameter's gradient. */
export interface Moments {
  readonly m: ReadonlyMap<string, Tensor>;
  readonly v: ReadonlyMap<string, Tensor>;
}

/**
 * AdamW (Loshchilov & Hutter 2019) on a model's parameters, clipped by the global norm, as two captured programs:
 * the norm first, so that the caller can refuse a gradient that is not finite before anything is changed.
 */
export class Optimizer {
  readonly moments: Moments;
  /** Updates made so far. */
  updates: number;
  readonly #schedule: Tensor;
  readonly #ssmSchedule: Tensor;
  readonly #ssmLearningRate: number;
  readonly #betas: { readonly beta1: number; readonly beta2: number };
  readonly #norm: Program<{ norm: Tensor; factor: Tensor }>;
  readonly #update: Program<null>;

  constructor(
    device: Device,
    parameters: ReadonlyMap<string, Tensor>,
    gradients: ReadonlyMap<string, Tensor>,
    options: OptimizerOptions = {},
    from: { moments: Moments; updates: number } = { moments: zeroMoments(device, parameters), updates: 0 },
  ) {
    const { beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weightDecay = 0.1, maxNorm = 1 } = options;
    const { isSsm = () => false, ssmLearningRate = 1e-3 } = options;
    const decays = options.decays ?? ((name, parameter) => decaysByDefault(name, parameter) && !isSsm(name));
    this.moments = from.moments;
    this.updates = from.updates;
    this.#betas = { beta1, beta2 };
    this.#schedule = device.zeros([3]);
    this.#ssmSchedule = device.zeros([3]);
    this.#ssmLearningRate = ssmLearningRate;
    this.#norm = capture(device, () => clipFactor(squaredNorm([...gradients.values()]), { maxNorm }));
    const { factor } = this.#norm.result;
    this.#update = capture(device, () => {
      for (const [name, parameter] of parameters) {
        const gradient = gradients.get(name);
        const m = this.moments.m.get(name);
        const v = this.moments.v.get(name);
        if (!gradient || !m || !v) continue; // a parameter that the loss does not depend on
        const decay = decays(name, parameter) ? weightDecay : 0;
        const own: AdamWOptions = { beta1, beta2, epsilon, weightDecay: decay };
        const schedule = isSsm(name) ? this.#ssmSchedule : this.#schedule;
        adamw(parameter, gradient, m, v, schedule, factor, own);
      }
      return null;
    });
  }

  /** Bytes of the moments and of the two programs. */
  bytes(): number {
    const moments = [...this.moments.m.values(), ...this.moments.v.values()];
    return moments.reduce(
      (sum, { buffer }) => sum + 4 * buffer.length,
      this.#norm.bytes + this.#update.bytes,
    );
  }

  /** The global norm of the gradients, before clipping. */
  norm(): Promise<number> {
    this.#norm.run();
    return this.#norm.result.norm.item();
  }

  /** One step with the gradients whose norm was taken last. */
  update(learningRate: number): void {
    this.updates++;
    const ssmRate = Math.min(learningRate, this.#ssmLearningRate);
    this.#schedule.write(adamwSchedule(learningRate, this.updates, this.#betas));
    this.#ssmSchedule.write(adamwSchedule(ssmRate, this.updates, this.#betas));
    this.#update.run();
  }

  free(): void {
    this.#norm.free();
    this.#update.free();
    this.#schedule.free();
    this.#ssmSchedule.free();
  }
}

/** Each gradient's sum stands alone, so that a device can make them side by side; a tree of sums adds them up. */
function squaredNorm(gradients: readonly Tensor[]): Tensor {
  let sums = gradients.map((gradient) => sumOfSquares(gradient));
  while (sums.length > 1) {
    const groups = Array.from({ length: Math.ceil(sums.length / mostParts) }, (_, i) =>
      sums.slice(i * mostParts, (i + 1) * mostParts),
    );
    sums = groups.map((group) => (group.length === 1 ? group[0] : sum(concat(group, 0))));
  }
  return sums[0];
}

function zeroMoments(device: Device, parameters: ReadonlyMap<string, Tensor>): Moments {
  const zeros = () => new Map([...parameters].map(([name, { shape }]) => [name, device.zeros(shape)]));
  return { m: zeros(), v: zeros() };
}
