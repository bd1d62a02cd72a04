import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { FormatError } from "../node.ts";
import { bytes as inBytes } from "./format.ts";
import type { Source } from "./run.ts";

/** A file as it is, and what to know it by. */
export interface DataFile {
  readonly bytes: Uint8Array;
  readonly source: Source;
}

/**
 * Reads the file that a flag names.
 * @throws FormatError when it is not there, not a file, or larger than `most` bytes.
 */
export async function readDataFile(
  speaker: string,
  flag: string,
  path: string,
  most: number,
): Promise<DataFile> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT")
      throw new FormatError(`${speaker}: there is no file ${path}. Check ${flag}.`);
    throw error;
  });
  if (!found.isFile()) {
    const what = found.isDirectory() ? "the directory " : "";
    throw new FormatError(`${speaker}: ${flag} must be a file, got ${what}${path}.`);
  }
  if (found.size > most) {
    throw new FormatError(
      `${speaker}: ${path} must be at most ${inBytes(most)}, got ${inBytes(found.size)}.`,
    );
  }
  const bytes = await readFile(path);
  return { bytes, source: { path: resolve(path), ...identityOf([bytes]) } };
}

/** What tells whether bytes are those of another time. */
export function identityOf(parts: readonly Uint8Array[]): Omit<Source, "path"> {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return { bytes: parts.reduce((sum, { length }) => sum + length, 0), sha256: hash.digest("hex") };
}
