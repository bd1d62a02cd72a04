import { link, mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { UsageError } from "../node.ts";

const lockFile = "lock";

/**
 * Makes this process the only one that writes in a run's directory, until the returned function is called. What a
 * killed process left behind is taken over.
 * @throws UsageError when another process has it.
 */
export async function lockRun(speaker: string, directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, lockFile);
  const own = join(directory, `.tmp-${lockFile}-${process.pid}`);
  await writeFile(own, `${process.pid} ${hostname()}\n`);
  try {
    if (!(await linked(own, path))) {
      await expectAbandoned(speaker, directory, path);
      await rm(path, { force: true });
      if (!(await linked(own, path))) await expectAbandoned(speaker, directory, path);
    }
  } finally {
    await rm(own, { force: true });
  }
  return async () => {
    await rm(path, { force: true });
    await rmdir(directory).catch(() => {}); // only where nothing came into it
  };
}

/** A link appears whole or not at all, and never over another. */
async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function expectAbandoned(speaker: string, directory: string, path: string): Promise<void> {
  const [pid, host] = (await readFile(path, "utf8").catch(() => "")).trim().split(" ");
  const elsewhere = host !== undefined && host !== hostname();
  if (!elsewhere && !isAlive(Number(pid))) return;
  throw new UsageError(
    `${speaker}: ${directory} is in use by process ${pid}${elsewhere ? ` on ${host}` : ""}. ` +
      `Wait for it, choose another --name, or, if no such process runs, remove ${path}.`,
  );
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0); // sends nothing, asks only
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
