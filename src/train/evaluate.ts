import type { Batch } from "../data/task.ts";
import type { LanguageModel } from "../models/languageModel.ts";
import { carryState, type NamedTensors } from "../models/layers.ts";
import { capture, type Program } from "../tensor/capture.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  type BatchSource,
  type Extent,
  type Objective,
  objectiveOf,
  type Pass,
  type Score,
  scoreOf,
  type Tally,
} from "./objective.ts";

export interface EvaluateOptions {
  /** How many validation batches. */
  readonly batches: number;
  readonly batch: number;
  readonly length: number;
  /** Called with the positions done so far, and waited for: throwing from it ends the evaluation. */
  readonly progress?: (positions: number) => void | Promise<void>;
}

/** Positions that one program covers: large enough for the kernels, small enough to stay in the caches. */
const positionsAtOnce = 8192;

/**
 * Scores a model on a task's validation data. Sequences of tokens stream through the recurrent state in pieces, so the
 * memory needed does not depend on their length; the result, bit for bit, does not depend on the pieces.
 */
export async function evaluate<B extends Extent = Batch>(
  of: LanguageModel | Objective<B>,
  task: BatchSource<B>,
  { batches, batch: rows, length, progress }: EvaluateOptions,
): Promise<Score> {
  const stream = new Stream(objectiveOf(of), rows);
  const tallies: Tally[] = [];
  let loss = 0;
  let done = 0;
  try {
    for (let i = 0; i < batches; i++) {
      stream.restart();
      for (const piece of stream.pieces(task.validation(i, rows, length))) {
        const part = await stream.score(piece);
        loss += part.loss;
        tallies.push(part.tally);
        done += rows * piece.length;
        await progress?.(done);
      }
    }
  } finally {
    stream.free();
  }
  return scoreOf(loss / tallies.reduce((total, { counted }) => total + counted, 0), tallies);
}

interface Piece {
  readonly placed: NamedTensors;
  readonly program: Program<Pass>;
}

/** Sequences on their way through a model: the state stays on the device, one program per length of piece. */
class Stream<B extends Extent> {
  readonly #objective: Objective<B>;
  readonly #batch: number;
  readonly #state: readonly NamedTensors[];
  readonly #pieces = new Map<number, Piece>();

  constructor(objective: Objective<B>, batch: number) {
    this.#objective = objective;
    this.#batch = batch;
    this.#state = objective.cut ? objective.model.initialState(batch) : [];
  }

  restart(): void {
    const { model, cut } = this.#objective;
    if (cut) scope(model.device, () => carryState(this.#state, model.initialState(this.#batch)));
  }

  /** A batch cut along time, where the objective can. */
  *pieces(batch: B): Generator<B> {
    const { cut } = this.#objective;
    if (!cut) return yield batch;
    const most = Math.max(1, Math.floor(positionsAtOnce / batch.batch));
    for (let start = 0; start < batch.length; start += most) {
      yield cut(batch, start, Math.min(most, batch.length - start));
    }
  }

  /** The sum of the losses of a piece, and what was counted. */
  async score(piece: B): Promise<{ loss: number; tally: Tally }> {
    const { placed, program } = this.#pieceOf(piece);
    this.#objective.write(placed, piece);
    program.run();
    const tally = this.#objective.tally(await program.result.predicted.read(), piece);
    return { tally, loss: tally.counted * (await program.result.loss.item()) };
  }

  free(): void {
    for (const { placed, program } of this.#pieces.values()) {
      for (const part of [...Object.values(placed), program]) part.free();
    }
    for (const tensor of this.#tensors()) tensor.free();
  }

  #tensors(): Tensor[] {
    return this.#state.flatMap((layer) => Object.values(layer));
  }

  #pieceOf(like: B): Piece {
    const known = this.#pieces.get(like.length);
    if (known) return known;
    const { model, forward, place, cut } = this.#objective;
    const placed = place(like);
    const program = capture(model.device, () => {
      const { loss, predicted, state } = forward(placed, cut ? { state: this.#state } : {});
      if (cut && state) carryState(this.#state, state);
      return { loss, predicted };
    });
    const piece = { placed, program };
    this.#pieces.set(like.length, piece);
    return piece;
  }
}
