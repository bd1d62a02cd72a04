import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp, type Sizes } from "../tensor/op.ts";
import { expectShape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "attention";

/**
 * Causal attention (Vaswani et al. 2017, equation 1; grouped heads: Ainslie et al. 2023), without ever storing a matrix
 * of length × keys. For query i of each head, with p = position + i and over the keys j = 0 … p:
 *
 *   s[j] = q[i]·k[j] / √headDim      l[i] = log Σⱼ exp s[j]      y[i] = Σⱼ exp(s[j] − l[i]) v[j]
 *
 *   q, y       (batch, length, heads, headDim)
 *   k, v       (batch, keys, kvHeads, headDim)      head h reads ⌊h kvHeads / heads⌋
 *   position   (1)                                  of the first query among the keys; not given: keys − length
 *   logSum: l  (batch, length, heads)
 *
 * So k and v may be caches with room for keys to come. A query beyond the last key gives NaN.
 */
export const attentionOp = defineOp<null>({
  name: who,
  inputs: ["q", "k", "v", "position"],
  outputs: ["y", "logSum"],
  saved: ["logSum"],
  integers: ["position"],

  shapes([q, k, v, position]) {
    const named = ["batch", "length", "heads", "headDim"] as const;
    const { batch, length, heads, headDim } = sizesOf(who, "q", q!, named); // the first three are not optional
    const { keys, kvHeads } = sizesOf(who, "k", k!, ["batch", "keys", "kvHeads", "headDim"]);
    expectShape(who, "k", k!, { batch, keys, kvHeads, headDim });
    expectShape(who, "v", v!, { batch, keys, kvHeads, headDim });
    if (position) expectShape(who, "position", position, { one: 1 });
    if (length < 1) throw new ShapeError(`${who}: length must be at least 1, got ${length}`);
    if (keys < length) throw new ShapeError(`${who}: keys must be at least length = ${length}, got ${keys}`);
    if (kvHeads < 1 || heads % kvHeads !== 0) {
      throw new ShapeError(`${who}: heads must be a multiple of kvHeads = ${kvHeads}, got ${heads}`);
    }
    return {
      sizes: { batch, length, keys, heads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim) },
      outputs: [q!, [batch, length, heads]],
    };
  },

  forward(inputs, [y, logSum], sizes) {
    const [q, k, v, position] = inputs as readonly Numbers[]; // position is optional
    const { headDim, scale } = sizes;
    const s = new Float64Array(sizes.keys);
    eachQuery(sizes, position, ({ row, at, seen, keyAt }) => {
      let most = -Infinity;
      for (let j = 0; j < seen; j++) {
        s[j] = scale * dot(q, at, k, keyAt(j), headDim);
        most = Math.max(most, s[j]);
      }
      let sum = seen > sizes.keys ? NaN : 0;
      for (let j = 0; j < seen; j++) sum += Math.exp(s[j] - most);
      if (logSum) logSum[row] = most + Math.log(sum); // not made when no gradient is wanted
      for (let d = 0; d < headDim; d++) {
        let mean = 0;
        for (let j = 0; j < seen; j++) mean += Math.exp(s[j] - most) * v[keyAt(j) + d];
        y[at + d] = mean / sum;
      }
    });
  },

  // With p = exp(s − l) and ds = p (v·dy − y·dy):
  //   dv[j] = Σᵢ p dy[i]      dk[j] = Σᵢ ds q[i] / √headDim      dq[i] = Σⱼ ds k[j] / √headDim
  backward(inputs, [y, logSum], [dy], [dq, dk, dv], sizes) {
    const [q, k, v, position] = inputs as readonly Numbers[]; // position is optional
    const { headDim, scale } = sizes;
    eachQuery(sizes, position, ({ row, at, seen, keyAt }) => {
      const shift = dot(y, at, dy, at, headDim);
      for (let j = 0; j < Math.min(seen, sizes.keys); j++) {
        const key = keyAt(j);
        const p = Math.exp(scale * dot(q, at, k, key, headDim) - logSum[row]);
        const ds = p * (dot(v, key, dy, at, headDim) - shift);
        for (let d = 0; d < headDim; d++) {
          dv[key + d] += p * dy[at + d];
          dk[key + d] += scale * ds * q[at + d];
          dq[at + d] += scale * ds * k[key + d];
        }
      }
    });
  },
});

export interface AttentionOptions {
  /** i32 (1): where the first query stands among the keys. Default: keys − length, the queries are the last. */
  position?: Tensor;
}

/**
 * y (batch, length, heads, headDim): each query of q sees the keys up to its own position.
 * @throws ShapeError when shapes differ, heads is not a multiple of kvHeads, or there are fewer keys than queries.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, { position }: AttentionOptions = {}): Tensor {
  return apply(attentionOp, [q, k, v, position ?? null], null)[0];
}

interface Query {
  /** Its place in logSum, and in q and y. */
  readonly row: number;
  readonly at: number;
  /** How many keys it sees; more than there are: they are missing. */
  readonly seen: number;
  /** Where key j lies that its head reads. */
  keyAt(j: number): number;
}

function eachQuery(sizes: Sizes, position: Numbers | null, visit: (query: Query) => void): void {
  const { batch, length, keys, heads, kvHeads, headDim } = sizes;
  const start = position ? position[0] : keys - length;
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < length; i++) {
      for (let h = 0; h < heads; h++) {
        const row = (b * length + i) * heads + h;
        const head = Math.floor((h * kvHeads) / heads);
        const keyAt = (j: number) => ((b * keys + j) * kvHeads + head) * headDim;
        visit({ row, at: row * headDim, seen: start + i + 1, keyAt });
      }
    }
  }
}

/** The product of n numbers of u and v, from two offsets. */
function dot(u: Numbers, atU: number, v: Numbers, atV: number, n: number): number {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += u[atU + d] * v[atV + d];
  return sum;
}
