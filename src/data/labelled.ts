/**
 * One batch of labelled sequences: of numbers, (batch, length, channels), or of tokens, (batch, length), row-major.
 * A sequence shorter than `length` stands at the beginning of its row; what is behind it does not count.
 */
export interface LabelledBatch {
  readonly batch: number;
  readonly length: number;
  readonly inputs: Float32Array | Int32Array;
  /** The class of each sequence, from 0 on; `ignore` for one that carries no loss. */
  readonly targets: Int32Array;
  /** Positions of each sequence. Default: `length`, of all of them. */
  readonly lengths?: Int32Array;
}

/** A source of such batches, as `Task` is of tokens: each row a pure function of seed, split, index, row, length. */
export interface LabelledTask {
  readonly name: string;
  /** Numbers at each position, or the size of the vocabulary where they are tokens. */
  readonly inputs: number;
  readonly tokens: boolean;
  readonly classes: number;
  train(index: number, batch: number, length: number): LabelledBatch;
  validation(index: number, batch: number, length: number): LabelledBatch;
}
