import { FormatError } from "../tensor/errors.ts";
import { damaged, fieldsOf, parseObject, quote } from "./json.ts";
import { isStoredDtype, storages, type StoredDtype } from "./storage.ts";

/** What a safetensors header says of a tensor. */
export interface Entry {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** The tensor's bytes [begin, end), counted from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  /** In the order of their data. */
  readonly entries: ReadonlyMap<string, Entry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Keys of the header, or of JavaScript's objects, that cannot name a tensor. */
export const reservedNames: readonly string[] = ["__metadata__", "__proto__"];

/**
 * The header of the safetensors file `path`, from its JSON; `dataSize` is the number of bytes after it.
 * @throws FormatError unless each tensor is described in full and together they fill the data without gaps.
 */
export function parseHeader(path: string, bytes: Uint8Array, dataSize: number): Header {
  if (bytes[0] !== "{".charCodeAt(0)) {
    throw new FormatError(`${path}: the header must begin with "{", got another byte or none. ${damaged}`);
  }
  const fields = parseObject(`${path}: the header`, bytes);
  const metadata = parseMetadata(path, fields.get("__metadata__"));
  fields.delete("__metadata__");
  const entries = [...fields].map(([name, value]) => [name, parseEntry(path, name, value)] as const);
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkTiling(path, entries, dataSize);
  return { entries: new Map(entries), metadata };
}

function parseMetadata(path: string, value: unknown): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === undefined) return metadata;
  const refuse = (actual: unknown) =>
    new FormatError(`${path}: __metadata__ must map keys to texts, got ${quote(actual)}. ${damaged}`);

  const fields = fieldsOf(value);
  if (fields === null) throw refuse(value);
  for (const [key, text] of fields) {
    if (typeof text !== "string") throw refuse(text);
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(path: string, name: string, value: unknown): Entry {
  const refuse = (part: string, expected: string, actual: unknown) =>
    new FormatError(
      `${path}: ${part} of tensor ${quote(name)} must be ${expected}, got ${quote(actual)}. ${damaged}`,
    );

  if (reservedNames.includes(name)) throw refuse("the name", "another word", name);
  const fields = fieldsOf(value);
  if (fields === null) throw refuse("the entry", "an object", value);
  const dtype = fields.get("dtype");
  const shape = fields.get("shape");
  const offsets = fields.get("data_offsets");
  if (!isStoredDtype(dtype)) throw refuse("the dtype", `one of ${Object.keys(storages).join(", ")}`, dtype);
  if (!isSizes(shape)) throw refuse("the shape", "a list of whole numbers from 0 on", shape);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw refuse("the data_offsets", "two whole numbers from 0 on", offsets);
  }

  let size: number = storages[dtype].width;
  for (const length of shape) {
    size *= length;
    if (!Number.isSafeInteger(size)) throw refuse("the shape", "one that fits into a file", shape);
  }
  const [begin, end] = offsets;
  if (end - begin !== size) {
    throw refuse("the data_offsets", `${size} bytes apart for ${dtype} of shape ${quote(shape)}`, offsets);
  }
  return { dtype, shape, begin, end };
}

/** `entries`, sorted by place, must lie one after the other from the first to the last byte of the data. */
function checkTiling(path: string, entries: readonly (readonly [string, Entry])[], dataSize: number): void {
  let position = 0;
  for (const [name, { begin, end }] of entries) {
    const what = `${path}: the data of tensor ${quote(name)}`;
    if (end > dataSize) {
      throw new FormatError(`${what} must end within the ${dataSize} bytes of data, got ${end}. ${damaged}`);
    }
    if (begin !== position) {
      const problem = begin < position ? "an overlap" : "a hole";
      throw new FormatError(`${what} must begin at ${position}, got ${begin}: ${problem}. ${damaged}`);
    }
    position = end;
  }
  if (position === dataSize) return;
  throw new FormatError(
    `${path}: the tensors must fill all ${dataSize} bytes of data, got ${position}. ${damaged}`,
  );
}

function isSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0))
  );
}
