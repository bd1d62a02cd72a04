import type { Backend, Buffer, Call, Dtype, Float } from "./backend.ts";
import { DeviceError } from "./errors.ts";
import type { Op, Sizes } from "./op.ts";
import { elementsOf, type Shape, ShapeError } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** One op as it was applied to tensors: what `gradients` walks backwards. */
export interface TapeEntry {
  readonly op: Op;
  readonly sizes: Sizes;
  readonly inputs: readonly (Tensor | null)[];
  readonly outputs: readonly Tensor[];
}

/** What `capture` collects instead of running it. */
export interface Recording {
  readonly calls: Call[];
  readonly buffers: Set<Buffer>;
  /** Tensors of given numbers: they have memory from the start. */
  readonly constants: Buffer[];
}

/**
 * Where tensors live and ops run: a backend, and what is being watched on it at the moment. The watching is done by
 * `gradients` (tape), `capture` (recording) and `scope` (allocated); nothing else sets these fields.
 */
export class Device {
  readonly backend: Backend;
  readonly name: string;
  /** The dtype of every tensor that does not hold integers. */
  readonly float: Float;
  tape: TapeEntry[] | null = null;
  recording: Recording | null = null;
  allocated: Set<Buffer> | null = null;
  /** Buffers that captured functions planned: outside of the recording they have no memory. */
  readonly #planned = new WeakSet<Buffer>();

  constructor(backend: Backend) {
    this.backend = backend;
    this.name = backend.name;
    this.float = backend.float;
  }

  /** A tensor of undefined content. */
  empty(shape: Shape, dtype: Dtype = this.float): Tensor {
    return new Tensor(this, shape, this.#allocate(dtype, elementsOf(shape)));
  }

  /** A tensor of the given numbers, row-major. In a captured function it is a constant. */
  tensor(values: ArrayLike<number>, shape: Shape = [values.length], dtype: Dtype = this.float): Tensor {
    if (values.length !== elementsOf(shape)) {
      throw new ShapeError(
        `tensor: shape (${shape.join(", ")}) takes ${elementsOf(shape)} values, got ${values.length}`,
      );
    }
    const tensor = new Tensor(this, shape, this.backend.allocate(dtype, values.length));
    if (this.recording) this.recording.constants.push(tensor.buffer);
    else this.allocated?.add(tensor.buffer);
    this.backend.write(tensor.buffer, values);
    return tensor;
  }

  /** A tensor of integers: token ids, targets, resets. */
  integers(values: ArrayLike<number>, shape?: Shape): Tensor {
    return this.tensor(values, shape, "i32");
  }

  zeros(shape: Shape, dtype: Dtype = this.float): Tensor {
    return this.tensor(new Float32Array(elementsOf(shape)), shape, dtype);
  }

  run(call: Call): void {
    for (const input of call.inputs) {
      if (input && !this.recording?.buffers.has(input)) this.expectPlaced(input, "use");
    }
    if (this.recording) this.recording.calls.push(call);
    else this.backend.run(call);
  }

  /** Gives the memory of a tensor back; that of a tensor inside a captured function is planned anyway. */
  free(buffer: Buffer): void {
    if (!this.#planned.has(buffer)) this.backend.free(buffer);
  }

  /** Refuses to touch a tensor that has no memory of its own, because it lives inside a captured function only. */
  expectPlaced(buffer: Buffer, verb: string): void {
    if (!this.#planned.has(buffer)) return;
    throw new DeviceError(
      `capture: a tensor computed inside a captured function has no numbers to ${verb}. ` +
        "Return it from the function and read it after run().",
    );
  }

  /** Gives back threads and memory. */
  dispose(): Promise<void> {
    return this.backend.dispose();
  }

  #allocate(dtype: Dtype, length: number): Buffer {
    if (this.recording) {
      const planned = { dtype, length };
      this.recording.buffers.add(planned);
      this.#planned.add(planned);
      return planned;
    }
    const buffer = this.backend.allocate(dtype, length);
    this.allocated?.add(buffer);
    return buffer;
  }
}

/** The device that all inputs of `op` share, once their dtypes are right. */
export function deviceOf(op: Op<never>, inputs: readonly (Tensor | null)[]): Device {
  const device = inputs.find((input) => input !== null)?.device;
  if (device === undefined) throw new ShapeError(`${op.name}: needs at least one tensor`);
  for (const [i, input] of inputs.entries()) {
    if (input === null) continue;
    if (input.device !== device) {
      throw new DeviceError(
        `${op.name}: ${op.inputs[i]} is on ${input.device.name}, ${op.inputs[0]} on ${device.name}. ` +
          "Copy it with device.tensor(await tensor.read(), tensor.shape).",
      );
    }
    const expected = op.integers?.includes(op.inputs[i]) ? "i32" : device.float;
    const half = input.dtype === "f16" && op.halves?.includes(op.inputs[i]);
    if (input.dtype !== expected && !half) {
      throw new ShapeError(`${op.name}: ${op.inputs[i]} must be ${expected}, got ${input.dtype}`);
    }
  }
  return device;
}
