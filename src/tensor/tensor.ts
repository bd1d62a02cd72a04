import type { Buffer, Dtype, Numbers } from "./backend.ts";
import type { Device } from "./device.ts";
import { elementsOf, type Shape, ShapeError } from "./shape.ts";

/** An array of numbers on a device. It has no math of its own: see ops/. */
export class Tensor {
  readonly device: Device;
  readonly shape: Shape;
  /** Where the numbers are. Tensors that differ by a reshape share one. Set anew only by `capture` and `store`. */
  buffer: Buffer;

  constructor(device: Device, shape: Shape, buffer: Buffer) {
    this.device = device;
    this.shape = shape;
    this.buffer = buffer;
  }

  get dtype(): Dtype {
    return this.buffer.dtype;
  }

  /** The same numbers under another shape. */
  reshaped(shape: Shape): Tensor {
    return new Tensor(this.device, shape, this.buffer);
  }

  /** A copy of the numbers, row-major, once they are computed. */
  read(): Promise<Numbers> {
    this.device.expectPlaced(this.buffer, "read");
    return this.device.backend.read(this.buffer);
  }

  /** The one number of a tensor with one element. */
  async item(): Promise<number> {
    if (this.buffer.length !== 1) {
      throw new ShapeError(
        `item: the tensor must have 1 element, got (${this.shape.join(", ")}). Use read().`,
      );
    }
    return (await this.read())[0];
  }

  /** Overwrites all numbers. */
  write(values: ArrayLike<number>): void {
    if (values.length !== elementsOf(this.shape)) {
      throw new ShapeError(
        `write: a tensor of shape (${this.shape.join(", ")}) takes ${elementsOf(this.shape)} values, got ${values.length}`,
      );
    }
    this.device.expectPlaced(this.buffer, "write");
    this.device.backend.write(this.buffer, values);
  }

  /**
   * Keeps the numbers in another form from now on, f16 for instance, and gives the memory of the old one back. Programs
   * captured before go on with the old numbers; reshaped views of this tensor are unusable afterwards.
   * @throws DeviceError for a dtype that the device does not store.
   */
  async store(dtype: Dtype): Promise<void> {
    if (dtype === this.dtype) return;
    const values = await this.read();
    const { backend } = this.device;
    const buffer = backend.allocate(dtype, values.length);
    backend.write(buffer, values);
    this.free();
    this.buffer = buffer;
  }

  /** Gives the memory back now instead of when the tensor is collected. */
  free(): void {
    this.device.free(this.buffer);
  }
}

/** Every tensor reachable through arrays, maps and plain objects. */
export function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (value instanceof Map) return [...value.values()].flatMap(tensorsIn);
  if (Array.isArray(value)) return value.flatMap(tensorsIn);
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    return Object.values(value).flatMap(tensorsIn);
  }
  return [];
}
