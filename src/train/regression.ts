import type { SignalBatch } from "../data/signal.ts";
import type { SequenceModel } from "../models/sequenceModel.ts";
import { square } from "../ops/activation.ts";
import { mul, sub } from "../ops/arithmetic.ts";
import { sum } from "../ops/reduce.ts";
import { slice } from "../ops/reshape.ts";
import { reshape } from "../tensor/reshape.ts";
import { placeInputs } from "./classification.ts";
import type { Objective } from "./objective.ts";

/**
 * Numbers at the last positions of each sequence, as many as the batch asks about: mean squared error, and the mean
 * absolute one. A target that is NaN carries no loss.
 */
export function regression(model: SequenceModel): Objective<SignalBatch> {
  const { device, config } = model;
  const { outputs, readout } = config;
  return {
    model,
    place({ batch, length, asked = readout === "each" ? length : 1 }) {
      const shape = [batch, asked, outputs];
      const inputs = placeInputs(model, batch, length);
      return { inputs, targets: device.zeros(shape), weights: device.zeros(shape) };
    },
    write(placed, { inputs, targets }) {
      const known = targets.reduce((count, target) => count + (Number.isNaN(target) ? 0 : 1), 0);
      const weight = 1 / Math.max(1, known);
      placed.inputs.write(inputs);
      placed.targets.write(targets.map((target) => (Number.isNaN(target) ? 0 : target)));
      placed.weights.write(targets.map((target) => (Number.isNaN(target) ? 0 : weight)));
    },
    forward({ inputs, targets, weights }, options) {
      const { y, state } = model.forward(inputs, options);
      const [, asked] = targets.shape;
      const said =
        readout === "each" ? slice(y, 1, y.shape[1] - asked, y.shape[1]) : reshape(y, targets.shape);
      const loss = sum(mul(weights, square(sub(said, targets))));
      return { loss, predicted: said, ...(state && { state }) };
    },
    tally(predicted, { targets }) {
      let counted = 0;
      let absolute = 0;
      for (const [i, target] of targets.entries()) {
        if (Number.isNaN(target)) continue;
        counted++;
        absolute += Math.abs(predicted[i] - target);
      }
      return { counted, sums: { mae: absolute } };
    },
  };
}
