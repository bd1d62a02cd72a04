import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { elementsOf, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * The vector of each token: a column of the table, which is also how a tied output head multiplies by it.
 *   y[…, d] = table[d, ids[…]]
 *   ids (…) i32     table (dModel, vocabulary)     y (…, dModel)
 *
 * An id must be from 0 to vocabulary − 1. The plain loops throw on any other; kernels cannot throw and write NaN for
 * that token, so readers of data check ids at the door.
 */
export const embeddingOp = defineOp<null>({
  name: "embedding",
  inputs: ["ids", "table"],
  outputs: ["y"],
  integers: ["ids"],
  halves: ["table"],

  shapes([ids, table]) {
    const { dModel, vocabulary } = sizesOf("embedding", "table", table!, ["dModel", "vocabulary"]);
    const tokens = elementsOf(ids!); // no input is optional
    return { sizes: { tokens, dModel, vocabulary }, outputs: [[...ids!, dModel]] };
  },

  forward(inputs, [y], { tokens, dModel, vocabulary }) {
    const [ids, table] = inputs as readonly Numbers[];
    for (let t = 0; t < tokens; t++) {
      expectToken("embedding", "id", ids[t], vocabulary);
      for (let d = 0; d < dModel; d++) y[t * dModel + d] = table[d * vocabulary + ids[t]];
    }
  },

  // dTable[d, i] = Σ over the tokens with id i of dy[…, d], in the order of the tokens
  backward(inputs, _outputs, [dy], [, dTable], { tokens, dModel, vocabulary }) {
    const [ids] = inputs as readonly Numbers[];
    for (let t = 0; t < tokens; t++) {
      for (let d = 0; d < dModel; d++) dTable[d * vocabulary + ids[t]] += dy[t * dModel + d];
    }
  },
});

/** @throws ShapeError when the table has no two axes and, on the plain device, for an id outside the vocabulary. */
export function embedding(ids: Tensor, table: Tensor): Tensor {
  return apply(embeddingOp, [ids, table], null)[0];
}

/** Demands a token that the vocabulary has. */
export function expectToken(where: string, what: string, token: number, vocabulary: number): void {
  if (token >= 0 && token < vocabulary) return;
  throw new ShapeError(
    `${where}: each ${what} must be from 0 to ${vocabulary - 1}, got ${token}. ` +
      "Does the tokenizer belong to this model?",
  );
}
