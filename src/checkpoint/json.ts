import { FormatError } from "../tensor/errors.ts";

/** The headers and indexes of checkpoints nest three deep: file, tensor, shape. */
const maxDepth = 8;

/** Opening brackets, commas and colons. A tensor takes about fourteen: room for 140 000 in one file. */
const maxMarks = 2_000_000;

/**
 * The fields of the JSON object in `bytes`, which may come from anyone. Stricter than `JSON.parse`: no key
 * twice in one object (it would keep the last in silence), no deep nesting, and no more parts than a few seconds and
 * some hundred MB can hold, which bytes alone do not bound.
 * @param where what the bytes are, as errors should call it: "model.safetensors: the header"
 * @throws FormatError for bytes that are not UTF-8, not JSON or not an object.
 */
export function parseObject(where: string, bytes: Uint8Array): Map<string, unknown> {
  const value = parseJson(where, decodeText(where, bytes));
  const fields = fieldsOf(value);
  if (fields !== null) return fields;
  throw new FormatError(`${where} must be a JSON object, got ${quote(value)}. ${damaged}`);
}

/** The last sentence of every error about a file that nobody can repair by hand. */
export const damaged = "The file is damaged or of another format: download or save it again.";

/** The own fields of a JSON object by name, where `__proto__` is a name like any other; null for other values. */
export function fieldsOf(value: unknown): Map<string, unknown> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return new Map(Object.entries(value));
}

/** A value as JSON for an error message: never long, whatever the file holds. */
export function quote(value: unknown): string {
  const limit = 80;
  if (typeof value === "string" && value.length > limit) return quote(`${value.slice(0, limit - 1)}…`);
  if (Array.isArray(value) && value.length > 8) return `a list of ${value.length}`;
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 2 * limit ? `${text.slice(0, limit)}…` : text;
}

function decodeText(where: string, bytes: Uint8Array): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return decoder.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new FormatError(`${where} must be JSON, got bytes that are not UTF-8. ${damaged}`);
  }
}

function parseJson(where: string, text: string): unknown {
  try {
    checkStructure(where, text);
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new FormatError(`${where} must be JSON, got other text. ${damaged}`);
  }
}

/**
 * Walks over the brackets and keys of a JSON text and refuses what `JSON.parse` would let pass. Text that is not JSON
 * may be refused for the wrong reason; JSON within the limits and without repeated keys never is.
 */
function checkStructure(where: string, text: string): void {
  const open: (Set<string> | null)[] = []; // per bracket: the keys of an object, null for a list
  let marks = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if ("{[,:".includes(character)) marks++;
    if (marks > maxMarks) {
      throw new FormatError(
        `${where} must have at most ${maxMarks} brackets, commas and colons, got more. ${damaged}`,
      );
    }
    if (character === "{" || character === "[") open.push(character === "{" ? new Set() : null);
    if (character === "}" || character === "]") open.pop();
    if (open.length > maxDepth) {
      throw new FormatError(`${where} must nest at most ${maxDepth} deep, got more. ${damaged}`);
    }
    if (character !== '"') continue;
    const start = i;
    for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
    const keys = open.at(-1);
    if (!keys || !isColonNext(text, i + 1)) continue;
    const key: unknown = JSON.parse(text.slice(start, i + 1));
    if (typeof key !== "string") continue;
    if (keys.has(key)) {
      throw new FormatError(`${where} must name each key once, got ${quote(key)} twice. ${damaged}`);
    }
    keys.add(key);
  }
}

function isColonNext(text: string, i: number): boolean {
  while (text[i] === " " || text[i] === "\n" || text[i] === "\t" || text[i] === "\r") i++;
  return text[i] === ":";
}
