import { FormatError, UsageError } from "../tensor/errors.ts";
import type { Files } from "./files.ts";
import { parseHeader, reservedNames } from "./header.ts";
import { damaged, quote } from "./json.ts";
import { dtypeOf, storages, type StoredDtype, type StoredNumbers } from "./storage.ts";

/**
 * The safetensors format (https://github.com/huggingface/safetensors):
 *
 *   8 bytes      length of the header, little-endian
 *   the header   JSON: {"__metadata__": {key: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, …}
 *   the data     the tensors, row-major, offsets counted from here; together they fill it without gaps
 *
 * A file may come from anyone: all but the numbers is checked when it is opened, every size before memory is asked for.
 */

export interface TensorData {
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: StoredNumbers;
}

/** The tensors of one file, or of several that belong together, read when asked for. */
export interface StoredTensors {
  /** The file, or the directory of several, as error messages call it. */
  readonly path: string;
  /** In the order in which they are stored. */
  readonly names: readonly string[];
  /** What the writer said of the file as a whole. */
  readonly metadata: ReadonlyMap<string, string>;
  /** @throws FormatError when there is no tensor of this name. */
  info(name: string): { readonly dtype: StoredDtype; readonly shape: readonly number[] };
  /**
   * The numbers, exactly: F16 and BF16 widened to f32, I64 narrowed to i32, other dtypes as they are.
   * @throws FormatError when there is no tensor of this name, or it holds an I64 beyond 32 bits.
   */
  read(name: string): Promise<TensorData>;
}

/** The limit of the reference implementation. */
const longestHeader = 100_000_000;

/** @throws FormatError for a file that is absent or damaged. */
export async function openSafetensors(files: Files, path: string): Promise<StoredTensors> {
  const size = await files.size(path);
  if (size === null) throw new FormatError(`${path}: there is no such file. Check the path.`);
  if (size < 8) throw new FormatError(`${path}: must be at least 8 bytes long, got ${size}. ${damaged}`);
  const prefix = await files.read(path, 0, 8);
  const headerSize = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const limit = Math.min(size - 8, longestHeader);
  if (headerSize > limit) {
    throw new FormatError(
      `${path}: the header must be at most ${limit} bytes long, got ${headerSize}. ${damaged}`,
    );
  }
  const dataStart = 8 + Number(headerSize);
  const { entries, metadata } = parseHeader(path, await files.read(path, 8, dataStart), size - dataStart);

  const info = (name: string) => {
    const entry = entries.get(name);
    if (entry === undefined) throw noTensor(path, name, entries.keys());
    return entry;
  };

  return {
    path,
    names: [...entries.keys()],
    metadata,
    info,
    async read(name) {
      const { dtype, shape, begin, end } = info(name);
      const bytes = await files.read(path, dataStart + begin, dataStart + end);
      return { shape, data: storages[dtype].decode(bytes, `${path}: tensor ${quote(name)}`) };
    },
  };
}

/** The error for a name that none of a checkpoint's tensors has. */
export function noTensor(path: string, name: string, names: Iterable<string>): FormatError {
  const [first] = names;
  const held = first === undefined ? "It holds none" : `It holds others, such as ${quote(first)}`;
  return new FormatError(`${path}: no tensor ${quote(name)}. ${held}: is this another kind of checkpoint?`);
}

/**
 * A safetensors file of these tensors. The same tensors give the same bytes, in whatever order they come: the widest
 * numbers are first, so that all are aligned, then it goes by name.
 * @throws UsageError for a shape that does not fit its data, or a name that the format keeps for itself.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorData>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const sorted = [...tensors].sort(
    ([a, x], [b, y]) => y.data.BYTES_PER_ELEMENT - x.data.BYTES_PER_ELEMENT || (a < b ? -1 : 1),
  );
  const header = new Map<string, unknown>();
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0)
    header.set("__metadata__", Object.fromEntries(keys.map((key) => [key, metadata[key]])));
  let position = 0;
  for (const [name, { shape, data }] of sorted) {
    checkTensor(name, shape, data);
    const end = position + data.byteLength;
    header.set(name, { dtype: dtypeOf(data), shape, data_offsets: [position, end] });
    position = end;
  }

  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerSize = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerSize + position);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerSize), true);
  bytes.set(json, 8);
  bytes.fill(" ".charCodeAt(0), 8 + json.length, 8 + headerSize);
  position = 8 + headerSize;
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return bytes;
}

function checkTensor(name: string, shape: readonly number[], data: StoredNumbers): void {
  if (reservedNames.includes(name)) {
    throw new UsageError(`safetensors: a tensor cannot be named ${quote(name)}. Choose another name.`);
  }
  const whole = shape.every((length) => Number.isSafeInteger(length) && length >= 0);
  const count = shape.reduce((product, length) => product * length, 1);
  if (whole && count === data.length) return;
  throw new UsageError(
    `safetensors: the shape of tensor ${quote(name)} must be that of its ${data.length} numbers, got ${quote(shape)}.`,
  );
}
