import type { Op, Sizes } from "./op.ts";

/** Floating point is f32 on every device; the plain one can also compute in f64, to check the others. */
export type Float = "f32" | "f64";
/** f16 is a form in which devices may store weights, at half the memory; they compute with it in their own float. */
export type Dtype = Float | "i32" | "f16";
export type Numbers = Float32Array | Float64Array | Int32Array;

/** A run of numbers on a device. Where it lies is the backend's business. */
export interface Buffer {
  readonly dtype: Dtype;
  readonly length: number;
}

export type MaybeBuffer = Buffer | null;

/**
 * One op applied to buffers. In the order of the op's own names; null is an optional input that was not given, an
 * output that no backward will read, or a gradient that nobody asked for (for an output gradient: zero).
 */
export interface Call {
  readonly op: Op;
  readonly pass: "forward" | "backward";
  readonly sizes: Sizes;
  readonly inputs: readonly MaybeBuffer[];
  readonly outputs: readonly MaybeBuffer[];
  /** Empty in a forward call. */
  readonly outputGrads: readonly MaybeBuffer[];
  readonly inputGrads: readonly MaybeBuffer[];
  /** Per input gradient: true adds to what the buffer holds, false overwrites whatever lies there. */
  readonly accumulate: readonly boolean[];
}

/** Calls to be replayed together. */
export interface Plan {
  readonly calls: readonly Call[];
  /** Buffers that live only inside the replay and have no memory yet: the backend places them (plan.ts). */
  readonly planned: ReadonlySet<Buffer>;
}

export interface Executable {
  /** Bytes this executable holds: planned buffers, scratch and its own code. */
  readonly bytes: number;
  /** Of these, the bytes of the planned buffers. */
  readonly arenaBytes: number;
  run(): void;
  free(): void;
}

/**
 * What a device must be able to do. A backend knows the names and sizes of ops and has a kernel for each; it knows
 * nothing of tensors, gradients or models. What it cannot run it refuses with a DeviceError; it never falls back.
 */
export interface Backend {
  readonly name: string;
  readonly float: Float;
  /** Memory of undefined content. @throws DeviceError for a dtype that the device does not store. */
  allocate(dtype: Dtype, length: number): Buffer;
  free(buffer: Buffer): void;
  write(buffer: Buffer, values: ArrayLike<number>, offset?: number): void;
  /** A copy of the buffer's numbers, once all calls made so far are done. */
  read(buffer: Buffer): Promise<Numbers>;
  run(call: Call): void;
  compile(plan: Plan): Executable;
  /** Resolves once all calls made so far are done. Left out where they always are. */
  settle?(): Promise<void>;
  /** Gives back threads and memory. Tensors of the device are unusable afterwards. */
  dispose(): Promise<void>;
}

export const bytesPerNumber: Readonly<Record<Dtype, number>> = { f64: 8, f32: 4, i32: 4, f16: 2 };

export function bytesOf(buffer: Buffer): number {
  return buffer.length * bytesPerNumber[buffer.dtype];
}

/** The buffers that a call reads, and those that it writes (an accumulated gradient is both). */
export function accessesOf(call: Call): { reads: Buffer[]; writes: Buffer[] } {
  const { op, inputs, outputs, outputGrads, inputGrads, accumulate } = call;
  const updated = inputs.filter((_, i) => op.updates?.includes(op.inputs[i]));
  const given = (buffers: readonly MaybeBuffer[]) => buffers.filter((buffer) => buffer !== null);
  if (call.pass === "forward") {
    return { reads: given(inputs), writes: given([...outputs, ...updated]) };
  }
  return {
    reads: given([...inputs, ...outputs, ...outputGrads, ...inputGrads.filter((_, i) => accumulate[i])]),
    writes: given(inputGrads),
  };
}
