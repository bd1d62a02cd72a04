import { FormatError, UsageError } from "../tensor/errors.ts";

/**
 * Where checkpoints live: a disk in Node, the origin's private file system in a browser, a Map in tests.
 *
 * A path is relative to the root that the implementation was made with: names joined by "/", none of them
 * ".", ".." or empty; any other path is a UsageError. A directory may also be "", the root itself, and comes
 * and goes with the files in it.
 */
export interface Files {
  /** Bytes of the file; null when there is no such file (a directory is none). */
  size(path: string): Promise<number | null>;
  /**
   * A copy, the caller's to keep, of bytes [start, end) of the file, by default all of them.
   * @throws FormatError when the file is absent or does not have these bytes; nothing is allocated before that check.
   */
  read(path: string, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * All or nothing: afterwards, even after a crash, the file holds either what it held before or all of `bytes`.
   * What a crash leaves beside the file has a name that `isTemporary` knows.
   */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Names of the files and directories directly in a directory, sorted; none when it is absent. */
  list(directory: string): Promise<string[]>;
  /** Removes a file, or a directory with all that is in it; does nothing when it is absent. */
  remove(path: string): Promise<void>;
  /** Moves a file, replacing one at `to`, or a directory to where nothing is. Atomic where the platform can. */
  rename(from: string, to: string): Promise<void>;
}

const temporaryPrefix = ".tmp-";

/** True for the name of a file or directory that was still being written. */
export function isTemporary(name: string): boolean {
  return name.startsWith(temporaryPrefix);
}

/** The name to write under until `name` may be seen. */
export function temporaryName(name: string): string {
  return temporaryPrefix + name;
}

/** True for a path that stays inside its root on every system. */
export function isPath(path: string): boolean {
  return (
    !/[\\:\0]/.test(path) && path.split("/").every((name) => name !== "" && name !== "." && name !== "..")
  );
}

/** @throws UsageError for a path that could leave its root. */
export function expectPath(path: string): void {
  if (isPath(path)) return;
  throw new UsageError(
    `files: a path must be relative, of names joined by "/", without "." and "..", got ${JSON.stringify(path)}. ` +
      `Choose the root so that the file lies below it.`,
  );
}

/** @throws UsageError as `expectPath`, but "" is the root. */
export function expectDirectory(directory: string): void {
  if (directory !== "") expectPath(directory);
}

/** The path of `name` in `directory`, which may be "", the root. */
export function join(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

/** @throws FormatError unless [start, end) lies in a file of `size` bytes, null being an absent file. */
export function expectRange(path: string, size: number | null, start: number, end: number): void {
  if (size === null) throw new FormatError(`${path}: there is no such file. Check the path.`);
  if (start >= 0 && start <= end && end <= size) return;
  throw new FormatError(
    `${path}: bytes ${start} to ${end} must lie in the file, got a file of ${size} bytes. Was it cut short?`,
  );
}
