import type { Batch, Task } from "../data/task.ts";
import type { LanguageModel } from "../models/languageModel.ts";
import { carryState, type NamedTensors } from "../models/layers.ts";
import { crossEntropy } from "../ops/crossEntropy.ts";
import { argmax } from "../ops/reduce.ts";
import { capture, type Program } from "../tensor/capture.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { scoreOf } from "./trainer.ts";

export interface Score {
  /** Mean cross-entropy in nats over the positions with a target. */
  readonly loss: number;
  /** Fraction of them that were predicted right. */
  readonly accuracy: number;
}

export interface EvaluateOptions {
  /** How many validation batches. */
  readonly batches: number;
  readonly batch: number;
  readonly length: number;
  /** Called with the tokens done so far, and waited for: throwing from it ends the evaluation. */
  readonly progress?: (tokens: number) => void | Promise<void>;
}

/** Tokens that one program covers: large enough for the kernels, small enough to stay in the caches. */
const tokensAtOnce = 8192;

/**
 * Scores a model on a task's validation data. Sequences stream through the recurrent state in pieces, so the memory
 * needed does not depend on their length; the result, bit for bit, does not depend on the pieces.
 */
export async function evaluate(model: LanguageModel, task: Task, options: EvaluateOptions): Promise<Score> {
  const total = { loss: 0, right: 0, counted: 0 };
  let done = 0;
  const stream = new Stream(model, options.batch);
  try {
    for (let i = 0; i < options.batches; i++) {
      const batch = task.validation(i, options.batch, options.length);
      stream.restart();
      for (const piece of pieces(batch)) {
        const part = await stream.score(piece);
        total.loss += part.loss;
        total.right += part.right;
        total.counted += part.counted;
        done += piece.tokens.length;
        await options.progress?.(done);
      }
    }
  } finally {
    stream.free();
  }
  return { loss: total.loss / total.counted, accuracy: total.right / total.counted };
}

/** A batch cut along time. */
function* pieces({ batch, length, tokens, targets }: Batch): Generator<Batch> {
  const most = Math.max(1, Math.floor(tokensAtOnce / batch));
  for (let start = 0; start < length; start += most) {
    const size = Math.min(most, length - start);
    const cut = (values: Int32Array) => {
      const part = new Int32Array(batch * size);
      for (let b = 0; b < batch; b++) {
        part.set(values.subarray(b * length + start, b * length + start + size), b * size);
      }
      return part;
    };
    yield { batch, length: size, tokens: cut(tokens), targets: cut(targets) };
  }
}

interface Piece {
  readonly tokens: Tensor;
  readonly targets: Tensor;
  readonly program: Program<{ loss: Tensor; predicted: Tensor }>;
}

/** Sequences on their way through a model: the state stays on the device, one program per length of piece. */
class Stream {
  readonly #model: LanguageModel;
  readonly #batch: number;
  readonly #state: readonly NamedTensors[];
  readonly #pieces = new Map<number, Piece>();

  constructor(model: LanguageModel, batch: number) {
    this.#model = model;
    this.#batch = batch;
    this.#state = model.initialState(batch);
  }

  restart(): void {
    for (const tensor of this.#tensors()) tensor.write(new Float32Array(tensor.buffer.length));
  }

  /** The sum of the losses of a piece, and how many of its targets were met. */
  async score(piece: Batch): Promise<{ loss: number; right: number; counted: number }> {
    const { tokens, targets, program } = this.#pieceOf(piece.length);
    tokens.write(piece.tokens);
    targets.write(piece.targets);
    program.run();
    const score = scoreOf(await program.result.predicted.read(), piece.targets);
    return { ...score, loss: score.counted * (await program.result.loss.item()) };
  }

  free(): void {
    for (const { tokens, targets, program } of this.#pieces.values()) {
      for (const part of [tokens, targets, program]) part.free();
    }
    for (const tensor of this.#tensors()) tensor.free();
  }

  #tensors(): Tensor[] {
    return this.#state.flatMap((layer) => Object.values(layer));
  }

  #pieceOf(length: number): Piece {
    const known = this.#pieces.get(length);
    if (known) return known;
    const { device } = this.#model;
    const shape = [this.#batch, length];
    const tokens = device.integers(new Int32Array(this.#batch * length), shape);
    const targets = device.integers(new Int32Array(this.#batch * length), shape);
    const program = capture(device, () => {
      const { logits, state } = this.#model.forward(tokens, { state: this.#state });
      carryState(this.#state, state);
      return { loss: crossEntropy(logits, targets), predicted: argmax(logits) };
    });
    const piece = { tokens, targets, program };
    this.#pieces.set(length, piece);
    return piece;
  }
}
