import type { LanguageModel } from "../models/languageModel.ts";
import { carryState, type NamedTensors } from "../models/layers.ts";
import { capture, type Program } from "../tensor/capture.ts";
import { UsageError } from "../tensor/errors.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Tokens of a prompt that one captured program reads; what is left over runs eagerly. Both give the same bits. */
const prefillLength = 512;

/**
 * A model reading and writing one sequence: the state stays on the device, and each token is one replay of one
 * program, however long the sequence has become.
 */
export class Decoder {
  readonly model: LanguageModel;
  readonly state: readonly NamedTensors[];
  readonly #token: Tensor;
  readonly #step: Program<Tensor>;
  #prefill: { tokens: Tensor; program: Program<Tensor> } | null = null;

  constructor(model: LanguageModel) {
    this.model = model;
    this.state = model.initialState(1);
    this.#token = model.device.integers([0], [1]);
    this.#step = capture(model.device, () => {
      const { logits, state } = model.step(this.#token, this.state);
      carryState(this.state, state);
      return logits;
    });
  }

  /** Back to the beginning of a sequence. */
  restart(): void {
    scope(this.model.device, () => carryState(this.state, this.model.initialState(1)));
  }

  /** Reads tokens; returns the logits (vocabulary) of what follows the last. */
  async prefill(tokens: ArrayLike<number>): Promise<Float32Array> {
    if (tokens.length === 0) throw new UsageError("generate: the prompt is empty. Give at least one token.");
    this.#check(tokens);
    let at = 0;
    let logits: Tensor | null = null;
    if (tokens.length >= prefillLength) {
      this.#prefill ??= this.#capturePrefill();
      for (; at + prefillLength <= tokens.length; at += prefillLength) {
        this.#prefill.tokens.write(Array.prototype.slice.call(tokens, at, at + prefillLength));
        this.#prefill.program.run();
        logits = this.#prefill.program.result;
      }
    }
    if (at < tokens.length) {
      const rest = Array.prototype.slice.call(tokens, at);
      logits = scope(this.model.device, () => {
        const piece = this.model.device.integers(rest, [1, rest.length]);
        const { logits, state } = this.model.forward(piece, { state: this.state, lastOnly: true });
        carryState(this.state, state);
        return logits;
      });
    }
    const values = (await logits!.read()) as Float32Array; // at least one token was read
    if (at < tokens.length) logits!.free(); // else they are the program's
    return values;
  }

  /** Reads one token; returns the logits of the next. */
  async step(token: number): Promise<Float32Array> {
    this.#check([token]);
    this.#token.write([token]);
    this.#step.run();
    return (await this.#step.result.read()) as Float32Array;
  }

  free(): void {
    this.#step.free();
    this.#token.free();
    this.#prefill?.program.free();
    this.#prefill?.tokens.free();
    for (const tensor of this.#tensors()) tensor.free();
  }

  #tensors(): Tensor[] {
    return this.state.flatMap((layer) => Object.values(layer));
  }

  #check(tokens: ArrayLike<number>): void {
    const { vocabulary } = this.model.config;
    for (let i = 0; i < tokens.length; i++) {
      if (!(Number.isInteger(tokens[i]) && tokens[i] >= 0 && tokens[i] < vocabulary)) {
        throw new UsageError(`generate: token ${i} must be from 0 to ${vocabulary - 1}, got ${tokens[i]}.`);
      }
    }
  }

  #capturePrefill(): { tokens: Tensor; program: Program<Tensor> } {
    const { device } = this.model;
    const tokens = device.integers(new Int32Array(prefillLength), [1, prefillLength]);
    const program = capture(device, () => {
      const { logits, state } = this.model.forward(tokens, { state: this.state, lastOnly: true });
      carryState(this.state, state);
      return logits;
    });
    return { tokens, program };
  }
}
