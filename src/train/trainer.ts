import type { Batch } from "../data/task.ts";
import { random } from "../math/random.ts";
import type { Model } from "../models/backbone.ts";
import { modelKindOf } from "../models/catalog.ts";
import type { LanguageModel } from "../models/languageModel.ts";
import type { NamedTensors } from "../models/layers.ts";
import { scale } from "../ops/arithmetic.ts";
import { gradients } from "../tensor/autograd.ts";
import { capture, type Program } from "../tensor/capture.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  type Extent,
  type Objective,
  objectiveOf,
  type Pass,
  type Score,
  scoreOf,
  type Tally,
} from "./objective.ts";
import { type Moments, Optimizer, type OptimizerOptions } from "./optimizer.ts";

/** What one training step did. */
export interface StepResult extends Score {
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

/** The programs that forward and backward one batch shape are. */
interface Programs {
  readonly placed: NamedTensors;
  /** Writes the gradients: for the first batch of a step. */
  readonly first: Program<Pass>;
  /** Adds to them: for the others. */
  readonly next: Program<Pass> | null;
  readonly batch: number;
  readonly length: number;
  /** Batches per step, whose losses are averaged. */
  readonly parts: number;
}

export interface TrainerOptions extends OptimizerOptions {
  /** Which numbers dropout draws. Default 0. */
  readonly seed?: number;
}

/**
 * Trains a model one step at a time. A step is three captured programs: gradients (forward and backward), their norm,
 * the update. All shapes of batches share the gradients and moments; only the programs of the latest shape are kept.
 */
export class Trainer<B extends Extent = Batch> {
  readonly objective: Objective<B>;
  readonly model: Model;
  readonly optimizer: Optimizer;
  readonly #gradients: ReadonlyMap<string, Tensor>;
  /** What each branch of the model draws its dropout from; none where nothing is dropped. */
  readonly #seeds: readonly Tensor[];
  readonly #seed: number;
  #programs: Programs | null = null;

  /** A language model is trained to say the next token; any other needs to be told what to do. */
  constructor(
    of: LanguageModel | Objective<B>,
    { seed = 0, ...options }: TrainerOptions = {},
    from?: { moments: Moments; updates: number },
  ) {
    this.objective = objectiveOf(of);
    this.model = this.objective.model;
    const { device, parameters, config, backbone } = this.model;
    this.#gradients = new Map([...parameters].map(([name, { shape }]) => [name, device.zeros(shape)]));
    const isSsm = ssmParametersOf(config.model);
    this.optimizer = new Optimizer(device, parameters, this.#gradients, { isSsm, ...options }, from);
    const drawing = config.dropout > 0 ? backbone.branches : 0;
    this.#seeds = Array.from({ length: drawing }, () => device.integers([0, 0]));
    this.#seed = seed;
  }

  /**
   * What steps of `parts` batches of this shape need. The programs are made here, so what is needed is also had.
   */
  plan(like: Extent & Partial<B>, parts = 1): MemoryPlan {
    const { first, next } = this.#programsFor(like, parts);
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
  async step(batches: readonly B[], learningRate: number): Promise<StepResult> {
    const programs = this.#programsFor(batches[0], batches.length);
    const tallies: Tally[] = [];
    let loss = 0;
    for (const [i, batch] of batches.entries()) {
      this.objective.write(programs.placed, batch);
      this.#drawSeeds(this.optimizer.updates * batches.length + i);
      const program = (i > 0 && programs.next) || programs.first;
      program.run();
      loss += await program.result.loss.item();
      tallies.push(this.objective.tally(await program.result.predicted.read(), batch));
    }
    const gradientNorm = await this.optimizer.norm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) await this.#diverged(loss);
    this.optimizer.update(learningRate);
    return { ...scoreOf(loss, tallies), gradientNorm };
  }

  free(): void {
    this.#freePrograms();
    this.optimizer.free();
    for (const tensor of [...this.#gradients.values(), ...this.#seeds]) tensor.free();
  }

  #programsFor(like: Extent & Partial<B>, parts: number): Programs {
    const { batch, length } = like;
    const known = this.#programs;
    if (known?.batch === batch && known.length === length && known.parts === parts) return known;
    this.#freePrograms();
    const placed = this.objective.place(like);
    const first = this.#capture(placed, parts, false);
    const next = parts > 1 ? this.#capture(placed, parts, true) : null;
    this.#programs = { batch, length, parts, placed, first, next };
    return this.#programs;
  }

  #capture(placed: NamedTensors, parts: number, accumulate: boolean): Program<Pass> {
    const { device, parameters } = this.model;
    const wanted = [...parameters.values()];
    const into = {
      gradients: new Map([...parameters].map(([name, tensor]) => [tensor, this.#gradients.get(name)!])), // one each
      accumulate,
    };
    const options = this.#seeds.length > 0 ? { seeds: this.#seeds } : {};
    return capture(device, () => {
      let predicted: Tensor | undefined;
      const { value: loss } = gradients(
        wanted,
        () => {
          const pass = this.objective.forward(placed, options);
          ({ predicted } = pass);
          return scale(pass.loss, 1 / parts);
        },
        into,
      );
      return { loss, predicted: predicted! }; // set in the function above
    });
  }

  /** New numbers for the dropout of the run's batch `index`: a function of these alone, so a resumed run draws them too. */
  #drawSeeds(index: number): void {
    for (const [branch, tensor] of this.#seeds.entries()) {
      const source = random(this.#seed, index, branch);
      tensor.write([source.integer(2 ** 31), source.integer(2 ** 31)]);
    }
  }

  #freePrograms(): void {
    if (!this.#programs) return;
    const { first, next, placed } = this.#programs;
    for (const part of [first, next, ...Object.values(placed)]) part?.free();
    this.#programs = null;
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

/** Tells the parameters that a kind of model wants to be trained slowly, by the last part of their names. */
function ssmParametersOf(model: string): (name: string) => boolean {
  const names = new Set(modelKindOf(model).ssmParameters);
  return (name) => name.includes(".mixer.") && names.has(name.slice(name.lastIndexOf(".") + 1));
}
