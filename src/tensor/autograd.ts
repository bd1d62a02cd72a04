import type { Device, TapeEntry } from "./device.ts";
import { reshapeOp } from "./reshape.ts";
import { ShapeError } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** What a function returned, and the gradients of the sum of its elements. */
export interface Gradients {
  readonly value: Tensor;
  /** One gradient for each wanted tensor, of its shape; tensors that `value` does not depend on have none. */
  readonly gradients: Map<Tensor, Tensor>;
}

/** Tensors that gradients are written into, instead of new ones. */
export interface GradientTargets {
  readonly gradients: ReadonlyMap<Tensor, Tensor>;
  /** Add to what the targets hold instead of overwriting it: several batches, one sum. */
  readonly accumulate: boolean;
}

/**
 * Runs `fn` and differentiates what it returns with respect to the wanted tensors (reverse mode). Only ops that lie
 * between a wanted tensor and the value are differentiated. Gradients are new tensors, so there is nothing to reset;
 * `into` names tensors of your own to hold them.
 */
export function gradients(wanted: readonly Tensor[], fn: () => Tensor, into?: GradientTargets): Gradients {
  if (wanted.length === 0) throw new ShapeError("gradients: must be given at least one tensor, got none");
  const { device } = wanted[0];
  const { value, tape } = watch(device, fn);

  const depends = new Set<Tensor>(wanted);
  const path = tape.filter(({ inputs, outputs }) => {
    const relevant = inputs.some((input) => input !== null && depends.has(input));
    if (relevant) for (const output of outputs) depends.add(output);
    return relevant;
  });

  const grads = new Map<Tensor, Tensor>();
  if (depends.has(value)) {
    grads.set(value, device.tensor(new Float32Array(value.buffer.length).fill(1), value.shape));
  }
  const kept = new Set(wanted);
  for (const entry of path.reverse()) {
    if (entry.outputs.some((output) => grads.has(output)))
      propagate({ device, depends, kept, into, grads }, entry);
    for (const output of entry.outputs) if (!kept.has(output)) grads.delete(output);
  }
  return { value, gradients: grads };
}

function watch(device: Device, fn: () => Tensor): { value: Tensor; tape: TapeEntry[] } {
  if (device.tape) {
    throw new ShapeError("gradients: called inside gradients. Second derivatives are not supported.");
  }
  const tape: TapeEntry[] = [];
  device.tape = tape;
  try {
    return { value: fn(), tape };
  } finally {
    device.tape = null;
  }
}

interface Walk {
  readonly device: Device;
  /** Tensors that a wanted one leads to. */
  readonly depends: ReadonlySet<Tensor>;
  /** Tensors whose gradient the caller gets, which must not share memory with another. */
  readonly kept: ReadonlySet<Tensor>;
  readonly into: GradientTargets | undefined;
  readonly grads: Map<Tensor, Tensor>;
}

/** Adds to the gradients of an entry's inputs what the gradients of its outputs imply. */
function propagate({ device, depends, kept, into, grads }: Walk, entry: TapeEntry): void {
  const { op, sizes, inputs, outputs } = entry;
  if (op.backward === undefined)
    throw new ShapeError(`${op.name}: has no gradient. Use it outside gradients().`);
  const outputGrads = outputs.map((output) => grads.get(output) ?? null);

  const [input] = inputs;
  if (op.alias && input && !grads.has(input) && !kept.has(input) && !kept.has(outputs[0])) {
    grads.set(input, outputGrads[0]!.reshaped(input.shape)); // the caller saw that some output has a gradient
    return;
  }

  const written = new Set<Tensor>();
  const targets = inputs.map((input) => {
    if (input === null || !depends.has(input)) return null;
    if (written.has(input)) return { grad: device.empty(input.shape), accumulate: false, twiceOf: input };
    written.add(input);
    const sum = grads.get(input);
    const target = into?.gradients.get(input);
    const grad = sum ?? target ?? device.empty(input.shape);
    grads.set(input, grad);
    return {
      grad,
      accumulate: sum !== undefined || (target !== undefined && into!.accumulate),
      twiceOf: null,
    }; // target came from it
  });
  device.run({
    op,
    pass: "backward",
    sizes,
    inputs: inputs.map((input) => input?.buffer ?? null),
    outputs: outputs.map((output) => output.buffer),
    outputGrads: outputGrads.map((grad) => grad?.buffer ?? null),
    inputGrads: targets.map((target) => target?.grad.buffer ?? null),
    accumulate: targets.map((target) => target?.accumulate ?? false),
  });
  for (const target of targets) {
    if (target?.twiceOf) addInto(device, grads.get(target.twiceOf)!, target.grad); // set above, at its first use
  }
}

/** sum += term, through the backward of reshape: the one op that only moves a gradient. */
function addInto(device: Device, sum: Tensor, term: Tensor): void {
  device.run({
    op: reshapeOp,
    pass: "backward",
    sizes: { size: sum.buffer.length },
    inputs: [sum.buffer],
    outputs: [sum.buffer],
    outputGrads: [term.buffer],
    inputGrads: [sum.buffer],
    accumulate: [true],
  });
}
