import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { expectToken } from "./embedding.ts";
import { lastAxis } from "./rmsNorm.ts";

/**
 * The mean negative log-likelihood of the targets under softmax(logits), over the n targets that are not ignored.
 *   loss = scale Σ over rows of (logsumexp − logits[target])     scale = 1/n, or 0 when n = 0
 *   logits (…, vocabulary)     targets (…) i32     loss (1)     logsumexp (rows)     scale (1)
 *
 * logsumexp takes the maximum out before it exponentiates; in an ignored row it is 0. A target must be `ignore`
 * or a token: the plain loops throw on any other; kernels cannot throw and make that row's loss and gradient NaN.
 */
export const crossEntropyOp = defineOp<{ ignore: number }>({
  name: "crossEntropy",
  inputs: ["logits", "targets"],
  outputs: ["loss", "logsumexp", "scale"],
  integers: ["targets"],

  shapes([logits, targets], { ignore }) {
    const { rows, size: vocabulary } = lastAxis("crossEntropy", "logits", "vocabulary", logits!); // not optional
    const expected = logits!.slice(0, -1);
    if (targets!.length !== expected.length || targets!.some((size, i) => size !== expected[i])) {
      throw new ShapeError(
        `crossEntropy: targets must be (${expected.join(", ")}), the shape of logits without the vocabulary, ` +
          `got (${targets!.join(", ")})`,
      );
    }
    return { sizes: { rows, vocabulary, ignore }, outputs: [[1], [rows], [1]] };
  },

  forward(inputs, [loss, logsumexp, scale], { rows, vocabulary, ignore }) {
    const [logits, targets] = inputs as readonly Numbers[];
    let sum = 0;
    let counted = 0;
    for (let row = 0; row < rows; row++) {
      if (targets[row] === ignore) continue;
      const at = row * vocabulary;
      logsumexp[row] = logSumExp(logits, at, vocabulary);
      expectToken("crossEntropy", "target", targets[row], vocabulary);
      sum += logsumexp[row] - logits[at + targets[row]];
      counted++;
    }
    scale[0] = counted === 0 ? 0 : 1 / counted;
    loss[0] = counted === 0 ? 0 : sum / counted;
  },

  // dlogits[j] = dloss scale (exp(logits[j] − logsumexp) − [j = target]), and 0 in an ignored row
  backward(inputs, [, logsumexp, scale], [dLoss], [dLogits], { rows, vocabulary, ignore }) {
    const [logits, targets] = inputs as readonly Numbers[];
    const factor = dLoss[0] * scale[0];
    for (let row = 0; row < rows; row++) {
      if (targets[row] === ignore) continue;
      const at = row * vocabulary;
      for (let j = 0; j < vocabulary; j++)
        dLogits[at + j] += factor * Math.exp(logits[at + j] - logsumexp[row]);
      dLogits[at + targets[row]] -= factor;
    }
  },
});

export interface CrossEntropyOptions {
  /** The target of rows that do not count. Default −100. */
  readonly ignore?: number;
}

/**
 * The mean loss, of shape (1); 0 when every target is ignored.
 * @throws ShapeError when targets do not fit logits and, on the plain device, for a target outside the vocabulary.
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
  { ignore = -100 }: CrossEntropyOptions = {},
): Tensor {
  return apply(crossEntropyOp, [logits, targets], { ignore })[0];
}

function logSumExp(logits: Numbers, at: number, vocabulary: number): number {
  let most = -Infinity;
  for (let j = 0; j < vocabulary; j++) most = Math.max(most, logits[at + j]);
  let sum = 0;
  for (let j = 0; j < vocabulary; j++) sum += Math.exp(logits[at + j] - most);
  return most + Math.log(sum);
}
