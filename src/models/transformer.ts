/**
 * The causal Transformer: "Attention Is All You Need" (Vaswani et al. 2017, arXiv 1706.03762), in the form that it has
 * taken since (LLaMA, arXiv 2302.13971): rotary embedding (arXiv 2104.09864), RMSNorm before each part, SwiGLU, no
 * biases, and groups of heads that share keys and values (arXiv 2305.13245). Norms and SwiGLU are those of the backbone.
 *
 *   in config     symbol   meaning
 *   dModel        d_model  width of the residual stream
 *   heads         h        each attends on its own
 *   kvHeads                heads of keys and values; each serves heads / kvHeads of the others
 *   headDim       d_k      dModel / heads, even
 *   feedForward   d_ff     hidden channels of the feed-forward part
 *   context                tokens that a state has room for
 *   ropeBase               a pair of channels turns by position · ropeBase^(−2c / headDim)
 *
 *   parameter     shape                        in the paper
 *   q             (dModel, heads · headDim)    W^Q
 *   k, v          (dModel, kvHeads · headDim)  W^K, W^V
 *   out           (heads · headDim, dModel)    W^O
 *
 * What it remembers of a sequence is all of it: keys and values of every token, `context` at the most. Beyond that,
 * y is NaN.
 */
import { attention } from "../ops/attention.ts";
import { advance, assignAt } from "../ops/cache.ts";
import { matmul } from "../ops/matmul.ts";
import { slice } from "../ops/reshape.ts";
import { rope } from "../ops/rope.ts";
import { UsageError } from "../tensor/errors.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backboneFields, type Mixer, type ModelKind } from "./backbone.ts";
import { type ConfigOf, configOf, positive, whole } from "./config.ts";
import { fanIn, type NamedTensors, type ParameterSource } from "./layers.ts";

export const transformerFields = {
  ...backboneFields,
  heads: { ...whole("h, heads of attention"), initially: "one for 64 channels" },
  kvHeads: { ...whole("heads of keys and values, each for a group of heads"), initially: "as many as heads" },
  feedForward: {
    ...whole("d_ff, hidden channels of the feed-forward part (SwiGLU), 0 for none", undefined, 0),
    initially: "8/3 d-model, rounded up to a multiple of 16",
  },
  context: whole("tokens that a state has room for", 4096),
  ropeBase: positive("base of the rotary embedding", 10_000),
};

export type TransformerConfig = ConfigOf<typeof transformerFields>;

export const transformerKind: ModelKind<TransformerConfig> = {
  name: "transformer",
  title: "Transformer",
  fields: transformerFields,
  ssmParameters: [],
  config(given) {
    const dModel = Number(given.dModel);
    const heads = given.heads ?? Math.max(1, Math.round(dModel / 64));
    const kvHeads = given.kvHeads ?? heads;
    const feedForward = given.feedForward ?? 16 * Math.ceil(dModel / 6);
    const config = configOf("transformer", transformerFields, { ...given, heads, kvHeads, feedForward });
    if (config.dModel % (2 * config.heads) !== 0) {
      throw new UsageError(
        `transformer: dModel must be an even number for each of ${config.heads} heads, got ${config.dModel}.`,
      );
    }
    if (config.heads % config.kvHeads !== 0) {
      throw new UsageError(
        `transformer: heads must be a multiple of kvHeads, got ${config.heads} and ${config.kvHeads}.`,
      );
    }
    return config;
  },
  mixer: (config, source) => new CausalAttention(config, source),
};

/** Multi-head attention over the past (section 3.2 of the paper). u, y: (batch, length, dModel). */
export class CausalAttention implements Mixer {
  readonly parameters: NamedTensors;
  readonly #config: TransformerConfig;
  readonly #headDim: number;
  /** The position up to which each cache was filled last. Who goes on from an earlier one gets a cache of their own. */
  readonly #filled = new WeakMap<Tensor, Tensor>();

  constructor(config: TransformerConfig, source: ParameterSource) {
    const { dModel, heads, kvHeads, layers } = config;
    this.#config = config;
    this.#headDim = dModel / heads;
    this.parameters = {
      q: source("q", [dModel, dModel], fanIn(dModel)),
      k: source("k", [dModel, kvHeads * this.#headDim], fanIn(dModel)),
      v: source("v", [dModel, kvHeads * this.#headDim], fanIn(dModel)),
      out: source("out", [dModel, dModel], fanIn(dModel, 1 / Math.sqrt(layers))),
    };
  }

  initialState(batch: number): NamedTensors {
    const { device } = this.parameters.q;
    const { context, kvHeads } = this.#config;
    const shape = [batch, context, kvHeads, this.#headDim];
    return this.#filling({ k: device.zeros(shape), v: device.zeros(shape), position: device.integers([0]) });
  }

  /** Without a state none is returned: a sequence read whole needs no cache. */
  forward(u: Tensor, state?: NamedTensors, resets?: Tensor): { y: Tensor; state?: NamedTensors } {
    if (resets) {
      throw new UsageError("transformer: resets are not supported. Give each document a row of its own.");
    }
    const [batch, length, dModel] = u.shape;
    const { heads, kvHeads, ropeBase: base } = this.#config;
    const project = (weight: Tensor, count: number) =>
      reshape(matmul(u, weight), [batch, length, count, this.#headDim]);
    const position = state?.position;
    const q = rope(project(this.parameters.q, heads), { position, base });
    const k = rope(project(this.parameters.k, kvHeads), { position, base });
    const v = project(this.parameters.v, kvHeads);
    const next = state && this.#append(state, k, v, length);
    const y = attention(q, next?.k ?? k, next?.v ?? v, { position }); // (batch, length, heads, headDim)
    return {
      y: matmul(reshape(y, [batch, length, dModel]), this.parameters.out),
      ...(next && { state: next }),
    };
  }

  /** Attention of one query: its kernels give the same bits as those of many. */
  step(u: Tensor, state: NamedTensors): { y: Tensor; state: NamedTensors } {
    const [batch, dModel] = u.shape;
    const { y, state: next } = this.forward(reshape(u, [batch, 1, dModel]), state);
    return { y: reshape(y, [batch, dModel]), state: next! }; // there was a state
  }

  /** The state after `length` more tokens. Its caches are those of the state before, with the new rows in them. */
  #append(state: NamedTensors, k: Tensor, v: Tensor, length: number): NamedTensors {
    const { context } = this.#config;
    if (length > context) {
      throw new UsageError(
        `transformer: the state has room for ${context} tokens, got ${length}. Raise context.`,
      );
    }
    if (k.device.tape) {
      throw new UsageError("transformer: no gradient goes through a state. Train on whole sequences.");
    }
    const caches = [state.k, state.v].map((cache) =>
      this.#filled.get(cache) === state.position ? cache : slice(cache, 1, 0, context),
    );
    for (const [i, rows] of [k, v].entries()) assignAt(caches[i], rows, state.position);
    return this.#filling({ k: caches[0], v: caches[1], position: advance(state.position, length) });
  }

  #filling(state: NamedTensors): NamedTensors {
    for (const cache of [state.k, state.v]) this.#filled.set(cache, state.position);
    return state;
  }
}
