import { widenHalves } from "../tensor/half.ts";
import { FormatError } from "../tensor/errors.ts";

/** Numbers as checkpoint files are read into and written from. */
export type StoredNumbers = Float32Array | Float64Array | Int32Array | Uint8Array;

interface Storage {
  /** Bytes of one number. */
  readonly width: 1 | 2 | 4 | 8;
  /**
   * The numbers in `bytes`, exactly; they may share its memory.
   * @throws FormatError, which begins with `what`, for a number that the array cannot hold.
   */
  decode(bytes: Uint8Array<ArrayBuffer>, what: string): StoredNumbers;
}

/**
 * How numbers lie in a file, by their safetensors name: little-endian, as in the memory of every machine this runs on.
 * Halves are widened to f32 and 64-bit integers narrowed to i32, the types that tensors have.
 */
export const storages = {
  F16: { width: 2, decode: (bytes) => widenHalves(new Uint16Array(aligned(bytes))) },
  BF16: { width: 2, decode: (bytes) => widenBF16(new Uint16Array(aligned(bytes))) },
  F32: { width: 4, decode: (bytes) => new Float32Array(aligned(bytes)) },
  F64: { width: 8, decode: (bytes) => new Float64Array(aligned(bytes)) },
  I32: { width: 4, decode: (bytes) => new Int32Array(aligned(bytes)) },
  I64: { width: 8, decode: (bytes, what) => narrowI64(new Int32Array(aligned(bytes)), what) },
  U8: { width: 1, decode: (bytes) => bytes },
} satisfies Record<string, Storage>;

export type StoredDtype = keyof typeof storages;

export function isStoredDtype(name: unknown): name is StoredDtype {
  return typeof name === "string" && Object.hasOwn(storages, name);
}

/** The dtype under which numbers are written: the one that reads back as the same array. */
export function dtypeOf(numbers: StoredNumbers): StoredDtype {
  if (numbers instanceof Float32Array) return "F32";
  if (numbers instanceof Float64Array) return "F64";
  return numbers instanceof Int32Array ? "I32" : "U8";
}

function aligned(bytes: Uint8Array<ArrayBuffer>): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole ? bytes.buffer : bytes.slice().buffer;
}

/** A bfloat16 is the upper half of a single. */
function widenBF16(halves: Uint16Array): Float32Array {
  const numbers = new Float32Array(halves.length);
  const bits = new Uint32Array(numbers.buffer);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return numbers;
}

/** `words` holds the lower and the upper half of each integer. */
function narrowI64(words: Int32Array, what: string): Int32Array {
  const numbers = new Int32Array(words.length / 2);
  for (let i = 0; i < numbers.length; i++) {
    const low = words[2 * i];
    const high = words[2 * i + 1];
    if (high !== low >> 31) {
      const value = (BigInt(high) << 32n) | BigInt(low >>> 0);
      throw new FormatError(`${what} must fit 32 bits, got ${value} at index ${i}. Store it as I32 or F64.`);
    }
    numbers[i] = low;
  }
  return numbers;
}
