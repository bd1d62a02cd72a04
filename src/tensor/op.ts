import type { Dtype, Numbers } from "./backend.ts";
import { type Device, deviceOf } from "./device.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Named integers and constants of one call: the loop bounds of the plain loops, the uniforms of the kernels. */
export type Sizes = Readonly<Record<string, number>>;

/** What an op makes of the shapes it is given. Outputs are floats unless `dtypes` says otherwise. */
export interface Shapes {
  readonly sizes: Sizes;
  readonly outputs: readonly Shape[];
  readonly dtypes?: readonly Dtype[];
}

/**
 * One operation, complete on its own: `forward` and `backward` are plain loops that run on any machine, in float32
 * or float64, and that every kernel is tested against.
 *
 * Arrays come in the order of `inputs` and `outputs`; an optional input that was not given is null. Outputs and
 * gradients arrive zero-filled or holding a sum, so gradients are added (`+=`). A gradient nobody asked for is
 * still an array to write to, so the loops need no conditions.
 */
export interface Op<Options = unknown> {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Inputs that are i32; all others are floats. */
  readonly integers?: readonly string[];
  /** Inputs that may be stored as f16: weights. */
  readonly halves?: readonly string[];
  /** Outputs that only `backward` reads, the last ones: made only while gradients are wanted, and without one. */
  readonly saved?: readonly string[];
  /** Inputs that `forward` changes in place. Such an op has no backward. */
  readonly updates?: readonly string[];
  /** The output is the input under another shape: no forward runs, no memory moves. */
  readonly alias?: boolean;
  shapes(inputs: readonly (Shape | null)[], options: Options): Shapes;
  forward(inputs: readonly (Numbers | null)[], outputs: readonly Numbers[], sizes: Sizes): void;
  backward?(
    inputs: readonly (Numbers | null)[],
    outputs: readonly Numbers[],
    outputGrads: readonly Numbers[],
    inputGrads: readonly Numbers[],
    sizes: Sizes,
  ): void;
}

/** States that `op` is an op; the identity, for the types of its methods. */
export function defineOp<Options>(op: Op<Options>): Op<Options> {
  return op;
}

/** Runs `op` on tensors of one device and returns the outputs it makes. Null stands for an optional input left out. */
export function apply<Options>(
  op: Op<Options>,
  inputs: readonly (Tensor | null)[],
  options: Options,
): Tensor[] {
  const device = deviceOf(op, inputs);
  const { sizes, outputs, dtypes } = op.shapes(
    inputs.map((input) => input?.shape ?? null),
    options,
  );
  const results = op.alias
    ? outputs.map((shape, i) => inputs[i]!.reshaped(shape)) // an alias op has as many inputs as outputs
    : outputs.slice(0, madeOutputs(op, device)).map((shape, i) => device.empty(shape, dtypes?.[i]));
  if (!op.alias) {
    device.run({
      op,
      pass: "forward",
      sizes,
      inputs: inputs.map((input) => input?.buffer ?? null),
      outputs: outputs.map((_, i) => results[i]?.buffer ?? null),
      outputGrads: [],
      inputGrads: [],
      accumulate: [],
    });
  }
  device.tape?.push({ op, sizes, inputs, outputs: results });
  return results;
}

function madeOutputs<Options>({ outputs, saved = [] }: Op<Options>, device: Device): number {
  return outputs.length - (device.tape ? 0 : saved.length);
}
