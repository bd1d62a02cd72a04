import type { LabelledBatch } from "../data/labelled.ts";
import type { SequenceModel } from "../models/sequenceModel.ts";
import { crossEntropy } from "../ops/crossEntropy.ts";
import { argmax } from "../ops/reduce.ts";
import { reshape } from "../tensor/reshape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Objective, tallyOfClasses } from "./objective.ts";

/**
 * The class of each sequence: mean cross-entropy in nats, and accuracy. The model's outputs are the classes.
 * @param padded whether sequences of a batch are of different lengths.
 */
export function classification(
  model: SequenceModel,
  { padded = false }: { readonly padded?: boolean } = {},
): Objective<LabelledBatch> {
  const { device, config } = model;
  return {
    model,
    place: ({ batch, length }) => ({
      inputs: placeInputs(model, batch, length),
      targets: device.integers(new Int32Array(batch), [batch]),
      ...(padded && { mask: device.zeros([batch, length]) }),
    }),
    write(placed, { batch, length, inputs, targets, lengths }) {
      placed.inputs.write(inputs);
      placed.targets.write(targets);
      if (padded) placed.mask.write(maskOf(lengths ?? new Int32Array(batch).fill(length), length));
    },
    forward({ inputs, targets, mask }, options) {
      const { y, state } = model.forward(inputs, { ...options, ...(mask && { mask }) });
      const logits = reshape(y, [targets.shape[0], config.outputs]);
      return { loss: crossEntropy(logits, targets), predicted: argmax(logits), ...(state && { state }) };
    },
    tally: (predicted, { targets }) => tallyOfClasses(predicted, targets),
  };
}

/** A tensor for the inputs of such a model. */
export function placeInputs({ device, config }: SequenceModel, batch: number, length: number): Tensor {
  return config.tokens
    ? device.integers(new Int32Array(batch * length), [batch, length])
    : device.zeros([batch, length, config.inputs]);
}

/** (batch, length): ones for a sequence's own positions, then zeros. */
function maskOf(lengths: Int32Array, length: number): Float32Array {
  const mask = new Float32Array(lengths.length * length);
  for (const [b, own] of lengths.entries()) mask.fill(1, b * length, b * length + own);
  return mask;
}
