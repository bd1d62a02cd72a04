import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";

import { FormatError } from "../tensor/errors.ts";
import { expectDirectory, expectPath, expectRange, temporaryName, type Files } from "./files.ts";

/** One read system call takes less than 2 GiB. */
const longestRead = 2 ** 30;

/**
 * The files below the directory `root` of a disk; the root is made with the first file. A write or rename that has
 * finished survives a power cut: content and directory entries are flushed. Symbolic links are followed.
 */
export function diskFiles(root: string): Files {
  const place = (path: string) => {
    expectPath(path);
    return resolve(root, path);
  };

  const size = async (path: string) => {
    const found = await unlessAbsent(stat(place(path)));
    return found?.isFile() ? found.size : null;
  };

  return {
    size,

    async read(path, start = 0, end) {
      const available = await size(path);
      const stop = end ?? available ?? start;
      expectRange(path, available, start, stop);
      await using file = await open(place(path), "r");
      const bytes = new Uint8Array(stop - start);
      for (let done = 0; done < bytes.length;) {
        const length = Math.min(bytes.length - done, longestRead);
        const { bytesRead } = await file.read(bytes, done, length, start + done);
        if (bytesRead === 0) throw new FormatError(`${path}: became shorter while it was read. Try again.`);
        done += bytesRead;
      }
      return bytes;
    },

    async write(path, bytes) {
      const target = place(path);
      const temporary = resolve(dirname(target), temporaryName(`${basename(target)}-${randomUUID()}`));
      await makeDirectory(dirname(target));
      try {
        await writeDurably(temporary, bytes);
        await rename(temporary, target);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      await flushDirectory(dirname(target));
    },

    async list(directory) {
      expectDirectory(directory);
      const names = await unlessAbsent(readdir(resolve(root, directory)));
      return (names ?? []).sort();
    },

    async remove(path) {
      await rm(place(path), { recursive: true, force: true });
    },

    async rename(from, to) {
      const [source, target] = [place(from), place(to)];
      await makeDirectory(dirname(target));
      await rename(source, target);
      await flushDirectory(dirname(target));
      await flushDirectory(dirname(source));
    },
  };
}

async function unlessAbsent<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}

async function writeDurably(place: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(place, "wx");
  await file.writeFile(bytes);
  await file.sync();
}

/** Makes the directory and those above it, each new one durable in the one that holds it. */
async function makeDirectory(directory: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true });
  if (first === undefined) return;
  for (let made = directory; made.length >= first.length; made = dirname(made))
    await flushDirectory(dirname(made));
}

/** Makes the entries of a directory durable. Windows does not open directories, and needs no flush. */
async function flushDirectory(directory: string): Promise<void> {
  if (process.platform === "win32") return;
  await using handle = await open(directory, "r");
  await handle.sync();
}
