import { type Batch, ignore } from "../data/task.ts";
import type { LanguageModel } from "../models/languageModel.ts";
import { crossEntropy } from "../ops/crossEntropy.ts";
import { argmax } from "../ops/reduce.ts";
import { scale } from "../ops/arithmetic.ts";
import { gradients } from "../tensor/autograd.ts";
import { capture, type Program } from "../tensor/capture.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Moments, Optimizer, type OptimizerOptions } from "./optimizer.ts";

/** What one training step did. */
export interface StepResult {
  /** Mean cross-entropy, in nats, over the positions with a target. */
  readonly loss: number;
  /** Fraction of those positions where the likeliest token was the target. */
  readonly accuracy: number;
  /** Global norm of the gradient before clipping. */
  readonly gradientNorm: number;
}

/** A loss or a gradient that is not finite. The parameters are those from before the step. */
export class DivergenceError extends Error {
  override name = "DivergenceError";
}

/** Bytes that training needs, known before the first step. */
export interface MemoryPlan {
  readonly parameters: number;
  readonly gradients: number;
  /** Moments, and the programs of norm and update. */
  readonly optimizer: number;
  /** Activations of one forward and backward pass, their memory shared by plan, and scratch. */
  readonly activations: number;
  readonly total: number;
}

interface PassResult {
  readonly loss: Tensor;
  readonly predicted: Tensor;
}

/** The forward and backward pass at one batch shape. */
interface Pass {
  readonly tokens: Tensor;
  readonly targets: Tensor;
  /** Writes the gradients: for the first batch of a step. */
  readonly first: Program<PassResult>;
  /** Adds to them: for the others. */
  readonly next: Program<PassResult> | null;
  readonly batch: number;
  readonly length: number;
  /** Batches per step, whose losses are averaged. */
  readonly parts: number;
}

/**
 * Trains a model one step at a time. A step is three captured programs: gradients (forward and backward), their norm,
 * the update. All shapes of batches share the gradients and moments; only the programs of the latest shape are kept.
 */
export class Trainer {
  readonly model: LanguageModel;
  readonly optimizer: Optimizer;
  readonly #gradients: ReadonlyMap<string, Tensor>;
  #pass: Pass | null = null;

  constructor(
    model: LanguageModel,
    options: OptimizerOptions = {},
    from?: { moments: Moments; updates: number },
  ) {
    const { device, parameters } = model;
    this.model = model;
    this.#gradients = new Map([...parameters].map(([name, { shape }]) => [name, device.zeros(shape)]));
    this.optimizer = new Optimizer(device, parameters, this.#gradients, options, from);
  }

  /** What steps of `parts` batches of this shape need. The programs are made here, so what is needed is also had. */
  plan(batch: number, length: number, parts = 1): MemoryPlan {
    const { first, next } = this.#passFor(batch, length, parts);
    const parameters = 4 * this.model.parameterCount();
    const sizes = {
      parameters,
      gradients: parameters,
      optimizer: this.optimizer.bytes(),
      activations: first.bytes + (next?.bytes ?? 0),
    };
    return { ...sizes, total: Object.values(sizes).reduce((a, b) => a + b, 0) };
  }

  /**
   * One update from one or more batches of the same shape, their losses averaged.
   * @throws DivergenceError, having changed nothing, when the loss or a gradient is not finite.
   */
  async step(batches: readonly Batch[], learningRate: number): Promise<StepResult> {
    const pass = this.#passFor(batches[0].batch, batches[0].length, batches.length);
    let loss = 0;
    let right = 0;
    let counted = 0;
    for (const [i, { tokens, targets }] of batches.entries()) {
      pass.tokens.write(tokens);
      pass.targets.write(targets);
      const program = (i > 0 && pass.next) || pass.first;
      program.run();
      loss += await program.result.loss.item();
      const score = scoreOf(await program.result.predicted.read(), targets);
      right += score.right;
      counted += score.counted;
    }
    const gradientNorm = await this.optimizer.norm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) await this.#diverged(loss);
    this.optimizer.update(learningRate);
    return { loss, accuracy: right / counted, gradientNorm };
  }

  free(): void {
    this.#freePass();
    this.optimizer.free();
    for (const gradient of this.#gradients.values()) gradient.free();
  }

  #passFor(batch: number, length: number, parts: number): Pass {
    const known = this.#pass;
    if (known?.batch === batch && known.length === length && known.parts === parts) return known;
    this.#freePass();
    const { device } = this.model;
    const tokens = device.integers(new Int32Array(batch * length), [batch, length]);
    const targets = device.integers(new Int32Array(batch * length), [batch, length]);
    const first = this.#capture(tokens, targets, parts, false);
    const next = parts > 1 ? this.#capture(tokens, targets, parts, true) : null;
    this.#pass = { batch, length, parts, tokens, targets, first, next };
    return this.#pass;
  }

  #capture(tokens: Tensor, targets: Tensor, parts: number, accumulate: boolean): Program<PassResult> {
    const { device, parameters } = this.model;
    const wanted = [...parameters.values()];
    const into = {
      gradients: new Map([...parameters].map(([name, tensor]) => [tensor, this.#gradients.get(name)!])), // one each
      accumulate,
    };
    return capture(device, () => {
      let predicted: Tensor | undefined;
      const { value: loss } = gradients(
        wanted,
        () => {
          const { logits } = this.model.forward(tokens);
          predicted = argmax(logits);
          return scale(crossEntropy(logits, targets), 1 / parts);
        },
        into,
      );
      return { loss, predicted: predicted! }; // set in the function above
    });
  }

  #freePass(): void {
    if (!this.#pass) return;
    const { first, next, tokens, targets } = this.#pass;
    for (const part of [first, next, tokens, targets]) part?.free();
    this.#pass = null;
  }

  /** Names the first gradient, in the order of the parameters, that is not finite. */
  async #diverged(loss: number): Promise<never> {
    const step = this.optimizer.updates + 1;
    for (const [name, gradient] of this.#gradients) {
      const bad = (await gradient.read()).find((value) => !Number.isFinite(value));
      if (bad !== undefined) {
        throw new DivergenceError(
          `train: step ${step} diverged: the loss is ${loss}, and the gradient of ${name} has ${bad}. ` +
            "Lower the learning rate, or clip at a smaller norm. The model is as it was before this step.",
        );
      }
    }
    throw new DivergenceError(
      `train: step ${step} diverged: the loss is ${loss} though every gradient is finite. ` +
        "Lower the learning rate. The model is as it was before this step.",
    );
  }
}

/** How many of the positions that have a target were predicted right. */
export function scoreOf(
  predicted: ArrayLike<number>,
  targets: ArrayLike<number>,
): { right: number; counted: number } {
  let right = 0;
  let counted = 0;
  for (let i = 0; i < targets.length; i++) {
    if (targets[i] === ignore) continue;
    counted++;
    if (predicted[i] === targets[i]) right++;
  }
  return { right, counted };
}
