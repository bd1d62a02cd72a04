import type { Buffer, Dtype, Numbers } from "../../tensor/backend.ts";
import { toHalf, widenHalves } from "../../tensor/half.ts";

/** Numbers as the GPU holds them: 32-bit words, or two f16 a word. An odd last f16 has a zero beside it. */
export function encode(
  dtype: Dtype,
  values: ArrayLike<number>,
  offset: number,
): ArrayBufferView<ArrayBuffer> {
  if (dtype === "i32") return values instanceof Int32Array ? plain(values) : Int32Array.from(values);
  if (dtype !== "f16") return values instanceof Float32Array ? plain(values) : Float32Array.from(values);
  if (offset % 2 !== 0)
    throw new RangeError(`webgpu: f16 numbers must be written from an even place, got ${offset}`);
  const halves = new Uint16Array(2 * Math.ceil(values.length / 2));
  for (let i = 0; i < values.length; i++) halves[i] = toHalf(values[i]);
  return halves;
}

/** A copy of a buffer's numbers, from the bytes that the GPU holds. */
export function decode({ dtype, length }: Buffer, bytes: ArrayBuffer): Numbers {
  if (dtype === "i32") return new Int32Array(bytes, 0, length).slice();
  if (dtype === "f16") return widenHalves(new Uint16Array(bytes, 0, length));
  return new Float32Array(bytes, 0, length).slice();
}

/** WebGPU takes no numbers in shared memory. */
function plain<Values extends Int32Array | Float32Array>(values: Values): ArrayBufferView<ArrayBuffer> {
  const own = values.buffer instanceof ArrayBuffer ? values : values.slice();
  return own as ArrayBufferView as ArrayBufferView<ArrayBuffer>;
}
