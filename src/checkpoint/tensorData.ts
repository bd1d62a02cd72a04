import { FormatError } from "../tensor/errors.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { StoredTensors, TensorData } from "./safetensors.ts";

/** The numbers of tensors, to be written; `prefix` comes before each name. */
export async function tensorData(
  tensors: ReadonlyMap<string, Tensor>,
  prefix = "",
): Promise<Map<string, TensorData>> {
  const data = new Map<string, TensorData>();
  for (const [name, tensor] of tensors) {
    data.set(prefix + name, { shape: tensor.shape, data: Float32Array.from(await tensor.read()) });
  }
  return data;
}

/** @throws FormatError for a tensor of another shape, or of a type that parameters do not have. */
export function expectShapeOf(stored: StoredTensors, name: string, expected: Shape): void {
  const { dtype, shape } = stored.info(name);
  if (!["F32", "F16", "BF16", "F64"].includes(dtype)) {
    throw new FormatError(`${stored.path}: "${name}" must hold F32, F16 or BF16, got ${dtype}.`);
  }
  if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i])) {
    throw new FormatError(
      `${stored.path}: "${name}" must have shape (${expected.join(", ")}), got (${shape.join(", ")}).`,
    );
  }
}

export function missing(stored: StoredTensors, name: string): FormatError {
  return new FormatError(`${stored.path}: no tensor "${name}". Is the file complete?`);
}

/** @throws FormatError when tensors are left over that a model of this title does not have. */
export function expectNone(stored: StoredTensors, left: readonly string[], title: string): void {
  if (left.length === 0) return;
  throw new FormatError(
    `${stored.path}: holds ${left.length} tensors that a ${title} does not have, such as "${left[0]}". ` +
      "Is this another kind of checkpoint?",
  );
}
