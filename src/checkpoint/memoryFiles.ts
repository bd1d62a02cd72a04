import { UsageError } from "../tensor/errors.ts";
import { expectDirectory, expectPath, expectRange, join, type Files } from "./files.ts";

/** Files in memory, gone with the object: for tests, and to hand a checkpoint on without a disk. */
export function memoryFiles(): Files {
  const contents = new Map<string, Uint8Array<ArrayBuffer>>();

  const below = (directory: string) =>
    [...contents.keys()].filter((path) => directory === "" || path.startsWith(`${directory}/`));

  const expectRoomForFile = (path: string) => {
    const parents = path.split("/").map((_, i, names) => names.slice(0, i).join("/"));
    const file = parents.find((parent) => contents.has(parent));
    if (file !== undefined)
      throw new UsageError(`files: ${file} must be a directory, got a file. Remove it.`);
    if (below(path).length === 0) return;
    throw new UsageError(`files: ${path} must be a file, got a directory. Remove it.`);
  };

  return {
    async size(path) {
      expectPath(path);
      return contents.get(path)?.length ?? null;
    },

    async read(path, start = 0, end) {
      expectPath(path);
      const bytes = contents.get(path);
      expectRange(path, bytes?.length ?? null, start, end ?? bytes?.length ?? start);
      return (bytes ?? new Uint8Array()).slice(start, end);
    },

    async write(path, bytes) {
      expectPath(path);
      expectRoomForFile(path);
      contents.set(path, new Uint8Array(bytes));
    },

    async list(directory) {
      expectDirectory(directory);
      const from = join(directory, "").length;
      return [...new Set(below(directory).map((path) => path.slice(from).split("/")[0]))].sort();
    },

    async remove(path) {
      expectPath(path);
      for (const file of [path, ...below(path)]) contents.delete(file);
    },

    async rename(from, to) {
      expectPath(from);
      expectPath(to);
      const moved = contents.has(from) ? [from] : below(from);
      if (moved.length === 0) throw new UsageError(`files: there is no ${from} to rename. Check the path.`);
      expectRoomForFile(to);
      if (moved[0] !== from && contents.has(to)) {
        throw new UsageError(`files: a directory cannot be renamed to the file ${to}. Remove it.`);
      }
      for (const path of moved) {
        const bytes = contents.get(path)!; // `moved` was listed from this map
        contents.delete(path);
        contents.set(to + path.slice(from.length), bytes);
      }
    },
  };
}
