import { FormatError, UsageError } from "../tensor/errors.ts";
import { expectPath, isPath, isTemporary, join, temporaryName, type Files } from "./files.ts";
import { fieldsOf, parseObject, quote } from "./json.ts";

/**
 * What a training run leaves behind to go on from. A kill at any moment leaves the last good one to be found:
 *
 *   <run>/checkpoints/step-00000400/                 files of the caller, and
 *                                   snapshot.json    their sizes: with it all of them are known to be there
 *                     step-00000200/                 the one before
 *                     step-00000400-replaced/        only while step 400 is written a second time
 *                     latest.json                    names the newest
 *                     .tmp-…                         unfinished, to be forgotten
 */
export interface Snapshot {
  /** Training steps done. */
  readonly step: number;
  /** Where its files are, as a path of the same `Files`. */
  readonly directory: string;
}

const manifestFile = "snapshot.json";
const latestFile = "latest.json";
const directoryPattern = /^step-(\d{8,15})(-replaced)?$/;
const longestManifest = 1_000_000;

/**
 * Writes the files of a snapshot all or not at all, then removes what is no longer needed: later steps, which a run
 * that went back has disowned, and earlier ones except the newest, so that `keep` remain.
 * One writer at a time: two in the same run directory would remove each other's unfinished files.
 * @param contents bytes by file name.
 * @param keep at least 1; default 2.
 * @throws UsageError for a step, name or `keep` that cannot be.
 */
export async function writeSnapshot(
  files: Files,
  runDirectory: string,
  step: number,
  contents: Readonly<Record<string, Uint8Array>>,
  keep = 2,
): Promise<Snapshot> {
  checkArguments(step, Object.keys(contents), keep);
  const checkpoints = join(runDirectory, "checkpoints");
  const name = `step-${String(step).padStart(8, "0")}`;
  const directory = join(checkpoints, name);
  const unfinished = join(checkpoints, temporaryName(name));
  const replaced = `${directory}-replaced`;

  await files.remove(unfinished);
  for (const [file, bytes] of Object.entries(contents)) await files.write(join(unfinished, file), bytes);
  const sizes = Object.entries(contents).map(([file, bytes]) => [file, bytes.length]);
  await files.write(join(unfinished, manifestFile), json({ files: Object.fromEntries(sizes) }));
  if (await isComplete(files, directory)) {
    await files.remove(replaced);
    await files.rename(directory, replaced);
  } else {
    await files.remove(directory);
  }
  await files.rename(unfinished, directory);
  await files.write(join(checkpoints, latestFile), json({ directory: name }));
  await prune(files, checkpoints, name, keep);
  return { step, directory };
}

/**
 * The newest complete snapshot of a run; null when there is none. It is the one that `latest.json` names, or, where
 * that is missing or its files are not all there, the complete one with the highest step.
 */
export async function latestSnapshot(files: Files, runDirectory: string): Promise<Snapshot | null> {
  const checkpoints = join(runDirectory, "checkpoints");
  const named = await readSmallObject(files, join(checkpoints, latestFile));
  const candidates = [named?.get("directory"), ...newestFirst(await files.list(checkpoints))];
  for (const name of candidates) {
    const step = stepOf(name);
    if (typeof name !== "string" || step === null) continue;
    const directory = join(checkpoints, name);
    if (await isComplete(files, directory)) return { step, directory };
  }
  return null;
}

/** True when all files of the snapshot are there in full length. */
async function isComplete(files: Files, directory: string): Promise<boolean> {
  const manifest = await readSmallObject(files, join(directory, manifestFile));
  const sizes = fieldsOf(manifest?.get("files"));
  if (sizes === null) return false;
  for (const [file, size] of sizes) {
    if (!isPath(file) || size === null || (await files.size(join(directory, file))) !== size) return false;
  }
  return true;
}

/** The fields of a JSON file, null where it is absent or damaged: here that only means to look further. */
async function readSmallObject(files: Files, path: string): Promise<Map<string, unknown> | null> {
  const size = await files.size(path);
  if (size === null || size > longestManifest) return null;
  try {
    return parseObject(path, await files.read(path));
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

async function prune(files: Files, checkpoints: string, current: string, keep: number): Promise<void> {
  const listed = await files.list(checkpoints);
  const names = newestFirst(listed);
  const kept = new Set([current]);
  for (const name of names.slice(names.indexOf(current) + 1)) {
    if (kept.size === keep) break;
    if (!name.endsWith("-replaced") && (await isComplete(files, join(checkpoints, name)))) kept.add(name);
  }
  for (const name of listed) {
    const ours = isTemporary(name) || stepOf(name) !== null;
    if (ours && !kept.has(name)) await files.remove(join(checkpoints, name));
  }
}

/** The snapshots among sorted directory entries, highest step first; one that was replaced follows its replacement. */
function newestFirst(entries: readonly string[]): string[] {
  const steps = entries.filter((name) => stepOf(name) !== null);
  return steps.sort((a, b) => (stepOf(b) ?? 0) - (stepOf(a) ?? 0));
}

function stepOf(name: unknown): number | null {
  const match = typeof name === "string" ? directoryPattern.exec(name) : null;
  return match === null ? null : Number(match[1]);
}

function checkArguments(step: number, names: readonly string[], keep: number): void {
  const refuse = (what: string, expected: string, actual: unknown) =>
    new UsageError(`snapshot: ${what} must be ${expected}, got ${quote(actual)}.`);

  const isStep = Number.isInteger(step) && step >= 0 && step < 1e15;
  if (!isStep) throw refuse("the step", "a whole number from 0 on", step);
  if (!Number.isInteger(keep) || keep < 1) throw refuse("keep", "a whole number from 1 on", keep);
  for (const name of names) {
    expectPath(name);
    if (name === manifestFile) throw refuse("a file's name", `other than ${manifestFile}`, name);
  }
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
