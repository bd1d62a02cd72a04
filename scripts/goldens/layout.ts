import type { StoredNumbers } from "../../src/checkpoint/storage.ts";
import type { Device } from "../../src/tensor/device.ts";
import { FormatError } from "../../src/tensor/errors.ts";
import { elementsOf } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { GoldenCase, Values } from "./case.ts";

/** The values with their axes in another order: axis i of the result is axis `order[i]` of the argument. */
export function permute({ shape, data }: Values, order: readonly number[]): Values {
  const strides = shape.map((_, axis) => elementsOf(shape.slice(axis + 1)));
  const permuted = order.map((axis) => shape[axis]);
  const result = emptyLike(data, data.length);
  const index = permuted.map(() => 0);
  for (let i = 0; i < result.length; i++) {
    result[i] = data[index.reduce((at, position, axis) => at + position * strides[order[axis]], 0)];
    for (let axis = index.length - 1; axis >= 0 && ++index[axis] === permuted[axis]; axis--) index[axis] = 0;
  }
  return { shape: permuted, data: result };
}

/** The order that undoes `order`. */
export function inverse(order: readonly number[]): number[] {
  return order.map((_, axis) => order.indexOf(axis));
}

/** Values of one shape, one after the other along a new first axis. */
export function stack(parts: readonly Values[]): Values {
  const size = parts[0].data.length;
  const data = emptyLike(parts[0].data, size * parts.length);
  for (const [i, part] of parts.entries()) data.set(part.data, i * size);
  return { shape: [parts.length, ...parts[0].shape], data };
}

/** Element `i` along the first axis. */
export function at({ shape, data }: Values, i: number): Values {
  const size = elementsOf(shape.slice(1));
  return { shape: shape.slice(1), data: data.slice(i * size, (i + 1) * size) };
}

export function reshaped({ data }: Values, shape: readonly number[]): Values {
  return { shape, data };
}

/**
 * All inputs of a case on a device, by name, their axes in the order that `orderOf` gives.
 * @throws FormatError when one of `required` is not among them.
 */
export async function uploadInputs(
  golden: GoldenCase,
  device: Device,
  required: readonly string[],
  orderOf: (name: string, rank: number) => readonly number[],
): Promise<Record<string, Tensor>> {
  const missing = required.filter((name) => !golden.inputs.includes(name));
  if (missing.length > 0) {
    throw new FormatError(
      `${golden.name}: a case of kind ${golden.kind} must have in.${required.join(", in.")}, got no in.${missing[0]}.`,
    );
  }
  const tensors: Record<string, Tensor> = {};
  for (const name of golden.inputs) {
    const values = await golden.input(name);
    tensors[name] = upload(device, permute(values, orderOf(name, values.shape.length)));
  }
  return tensors;
}

/** The values on a device, in its precision. */
export function upload(device: Device, { shape, data }: Values): Tensor {
  return device.tensor(data, shape);
}

/** The values of a tensor, in the precision they were computed in. */
export async function download(tensor: Tensor): Promise<Values> {
  return { shape: tensor.shape, data: await tensor.read() };
}

function emptyLike(data: StoredNumbers, length: number): StoredNumbers {
  if (data instanceof Float32Array) return new Float32Array(length);
  if (data instanceof Float64Array) return new Float64Array(length);
  return data instanceof Int32Array ? new Int32Array(length) : new Uint8Array(length);
}
