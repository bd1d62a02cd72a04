import { FormatError } from "../tensor/errors.ts";

/** The array in an IDX file, row-major. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Float64Array | Uint8Array;
}

const types: Readonly<Record<number, { bytes: number; read: (view: DataView, at: number) => number }>> = {
  0x08: { bytes: 1, read: (view, at) => view.getUint8(at) },
  0x09: { bytes: 1, read: (view, at) => view.getInt8(at) },
  0x0b: { bytes: 2, read: (view, at) => view.getInt16(at) },
  0x0c: { bytes: 4, read: (view, at) => view.getInt32(at) },
  0x0d: { bytes: 4, read: (view, at) => view.getFloat32(at) },
  0x0e: { bytes: 8, read: (view, at) => view.getFloat64(at) },
};

/**
 * Reads the IDX format of the MNIST files (LeCun, Cortes & Burges): two zero bytes, the type of the elements, the number
 * of dimensions, each of them as 32 bits, big-endian, then the elements. Nothing is allocated before the sizes are
 * known to be those of the file.
 * @throws FormatError for anything else.
 */
export function readIdx(file: string, bytes: Uint8Array): IdxArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b)
    throw new FormatError(`${file}: is compressed. Unpack it with gunzip.`);
  const type = bytes.length >= 4 && view.getUint16(0) === 0 ? types[bytes[2]] : undefined;
  if (!type)
    throw new FormatError(
      `${file}: must be an IDX file, such as those of MNIST. It does not begin like one.`,
    );
  const header = 4 + 4 * bytes[3];
  if (bytes[3] === 0 || bytes.length < header) {
    throw new FormatError(
      `${file}: must say ${bytes[3] || "at least 1"} dimensions in its header. Is it complete?`,
    );
  }
  const shape = Array.from({ length: bytes[3] }, (_, i) => view.getUint32(4 + 4 * i));
  const count = shape.reduce((product, size) => product * size, 1);
  if (header + count * type.bytes !== bytes.length) {
    throw new FormatError(
      `${file}: (${shape.join(", ")}) elements of ${type.bytes} bytes need ${header + count * type.bytes} bytes, ` +
        `got ${bytes.length}. Is it complete?`,
    );
  }
  if (bytes[2] === 0x08) return { shape, data: bytes.subarray(header) };
  return {
    shape,
    data: Float64Array.from({ length: count }, (_, i) => type.read(view, header + i * type.bytes)),
  };
}
