import assert from "node:assert/strict";
import { random } from "../src/math/random.ts";
import { add, mul } from "../src/ops/arithmetic.ts";
import { sum } from "../src/ops/reduce.ts";
import type { Numbers } from "../src/tensor/backend.ts";
import type { Device } from "../src/tensor/device.ts";
import type { Op } from "../src/tensor/op.ts";
import { elementsOf, type Shape } from "../src/tensor/shape.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { exactDevice } from "./gradcheck.ts";

/** An input of an op under comparison. */
export interface Input {
  readonly shape: Shape;
  readonly values: ArrayLike<number>;
  readonly integer?: boolean;
}

/** Rounding of sums of a few hundred terms near 1 in float32. */
const tolerance32 = 2e-5;

/**
 * Runs an op's forward and backward kernels on `device` and its plain loops in float64, from the same inputs (null: an
 * optional one left out), and demands of every number |x − g| ≤ tolerance · max(1, max|g|), NaN where g is NaN and the
 * same infinity. Backward runs several times (see rounds), always onto what the gradients then hold. Outputs that are
 * false in `graded` have no gradient: it counts as 0.
 */
export async function compareCalls<Options>(
  device: Device,
  op: Op<Options>,
  inputs: readonly (Input | null)[],
  options: Options,
  tolerance = tolerance32,
  graded?: readonly boolean[],
): Promise<void> {
  const got = await evaluate(device, op, inputs, options, graded);
  const expected = await evaluate(exactDevice(), op, inputs, options, graded);
  for (const [name, values] of expected)
    assertNear(`${device.name}: ${name}`, got.get(name)!, values, tolerance);
}

/** All gradients overwritten, all added to, every other one added to, and each of them asked for alone. */
function rounds(inputs: number): { asked: boolean[]; adds: boolean[] }[] {
  const each = (value: (i: number) => boolean) => Array.from({ length: inputs }, (_, i) => value(i));
  const all = [() => false, () => true, (i: number) => i % 2 === 0, (i: number) => i % 2 === 1];
  const alone = Array.from({ length: inputs }, (_, k) => ({
    asked: each((i) => i === k),
    adds: each(() => true),
  }));
  return [...all.map((adds) => ({ asked: each(() => true), adds: each(adds) })), ...alone];
}

/**
 * Demands the same bits, or on a GPU the same numbers within rounding: pieces of a sequence go by other kernels there than
 * the whole, and sums of a few dozen terms have another order.
 */
export function assertSame({ name }: Device, got: Numbers, expected: Numbers, what = "result"): void {
  if (name === "webgpu") assertNear(what, got, expected, 5e-5);
  else assert.deepEqual(got, expected, what);
}

export function assertNear(what: string, got: Numbers, expected: Numbers, tolerance: number): void {
  assert.equal(got.length, expected.length, what);
  let scale = 1;
  for (const x of expected) if (Number.isFinite(x)) scale = Math.max(scale, Math.abs(x));
  for (let i = 0; i < expected.length; i++) {
    const near = Math.abs(got[i] - expected[i]) <= tolerance * scale;
    if (near || Object.is(got[i], expected[i])) continue;
    assert.fail(`${what}[${i}] is ${got[i]}, must be ${expected[i]}`);
  }
}

/** All that the op computes, by name: outputs, updated inputs, and gradients of the outputs weighted by cos(i). */
export async function evaluate<Options>(
  device: Device,
  op: Op<Options>,
  inputs: readonly (Input | null)[],
  options: Options,
  graded?: readonly boolean[],
): Promise<Map<string, Numbers>> {
  const { sizes, outputs, dtypes } = op.shapes(
    inputs.map((input) => input?.shape ?? null),
    options,
  );
  const given = inputs.map((input) => {
    if (input === null) return null;
    const { shape, values, integer } = input;
    return integer ? device.integers(values, shape) : device.tensor(Float32Array.from(values), shape);
  });
  const results = outputs.map((shape, i) => device.empty(shape, dtypes?.[i]));
  const buffers = (tensors: readonly (Tensor | null)[]) => tensors.map((tensor) => tensor?.buffer ?? null);
  const call = { op, sizes, inputs: buffers(given), outputs: buffers(results) };
  device.run({ ...call, pass: "forward", outputGrads: [], inputGrads: [], accumulate: [] });

  const found = new Map<string, Numbers>();
  for (const [i, result] of results.entries()) found.set(op.outputs[i], await result.read());
  for (const name of op.updates ?? []) found.set(name, await given[op.inputs.indexOf(name)]!.read());
  if (op.backward === undefined) return found;

  const weights = outputs.map((shape, i) =>
    graded?.[i] === false || op.saved?.includes(op.outputs[i]) ? null : waves(device, shape, Math.cos),
  );
  const grads = inputs.map((input) =>
    input && !input.integer ? waves(device, input.shape, Math.sin) : null,
  );
  for (const [round, { asked, adds }] of rounds(inputs.length).entries()) {
    const wanted = grads.map((grad, i) => (asked[i] ? grad : null));
    device.run({
      ...call,
      pass: "backward",
      outputGrads: buffers(weights),
      inputGrads: buffers(wanted),
      accumulate: adds,
    });
    for (const [i, grad] of wanted.entries()) {
      if (grad)
        found.set(`gradient of ${op.inputs[i]}${round > 0 ? `, round ${round}` : ""}`, await grad.read());
    }
  }
  return found;
}

/** Standard normal numbers. */
export function normals(seed: number, ...shape: Shape): Input {
  const source = random(seed);
  return { shape, values: Float32Array.from({ length: elementsOf(shape) }, () => source.normal()) };
}

/** Integers from 0 to n − 1. */
export function integers(seed: number, n: number, ...shape: Shape): Input {
  const source = random(seed);
  return {
    shape,
    values: Int32Array.from({ length: elementsOf(shape) }, () => source.integer(n)),
    integer: true,
  };
}

/** Σ cos(i) yᵢ over all outputs: the loss for gradcheck. */
export function weigh(outputs: Tensor[]): Tensor {
  return outputs.map((y) => sum(mul(y, waves(y.device, y.shape, Math.cos)))).reduce((a, b) => add(a, b));
}

function waves(device: Device, shape: Shape, wave: (i: number) => number): Tensor {
  return device.tensor(
    Float32Array.from({ length: elementsOf(shape) }, (_, i) => wave(i)),
    shape,
  );
}
