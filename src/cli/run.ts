/**
 * A training run is a directory:
 *
 *   runs/<name>/config.json      the command and its settings
 *               checkpoints/     the newest two (checkpoint/snapshot.ts); each opens as a Hugging Face model
 *               metrics.jsonl    one line per step, evaluation and stage
 *               chart.svg        the same, to look at
 *               results.json     of `reproduce`, `train forecast`, `train classify`
 *               forecast.svg     of `train forecast`: its last forecasts
 *               lock             while a process writes in it
 */
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { diskFiles, type Files, FormatError, UsageError, type View } from "../node.ts";
import { lockRun } from "./lock.ts";
import { viewIn } from "./view.ts";

export interface RunConfig {
  /** What made the run: "train text". */
  readonly command: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** The file that it learns, if it does. */
  readonly source?: Source;
  /** How it sees a series, if it learns one: what forecasts are made with. */
  readonly view?: View;
}

/** A file, to know it again. */
export interface Source {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Run {
  readonly name: string;
  /** As people write it: runs/induction-heads. */
  readonly directory: string;
  /** Rooted where the run is, in which its path is its name. */
  readonly files: Files;
}

/** A run that this process writes. */
export interface ClaimedRun extends Run {
  /** What it was made with; null for a new one. */
  readonly config: RunConfig | null;
  /** Where the earlier run of this name now is, if there was one and it had to go. */
  readonly movedTo: string | null;
  release(): Promise<void>;
}

/** The run of this name, to be written: a new one, or the one that is there, unless `fresh` moves that aside. */
export async function claimRun(
  speaker: string,
  { name, runs, fresh }: { name: string; runs: string; fresh: boolean },
): Promise<ClaimedRun> {
  if (!/^\w[\w.-]*$/.test(name)) {
    throw new UsageError(
      `${speaker}: --name must be letters, digits, dots, dashes and underscores, got ${JSON.stringify(name)}.`,
    );
  }
  const run = runAt(join(runs, name));
  const { directory } = run;
  const inside = await entries(directory);
  if (inside.length > 0 && !inside.includes("config.json") && !inside.every(isOfLock)) {
    throw new UsageError(
      `${speaker}: ${directory} exists and is not a run: it has no config.json. Choose another --name.`,
    );
  }
  let release = await lockRun(speaker, directory);
  try {
    let movedTo: string | null = null;
    if (fresh && inside.includes("config.json")) {
      movedTo = await freeName(directory);
      await rename(directory, movedTo);
      release = await lockRun(speaker, directory);
      await rm(join(movedTo, "lock"), { force: true });
    }
    const config = (await exists(join(directory, "config.json"))) ? await readConfig(run) : null;
    return { ...run, config, movedTo, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** A run that is there. */
export interface FoundRun extends Run {
  readonly config: RunConfig;
}

/** The run that --run names: a name below --runs, or the path of a directory. */
export async function findRun(
  speaker: string,
  { run, runs }: { run: string; runs: string },
): Promise<FoundRun> {
  const isPath = /[/\\]|^\.+$/.test(run);
  const directory = isPath ? run.replace(/(?<=.)[/\\]+$/, "") : join(runs, run);
  if (!(await exists(directory))) {
    const known = (await entries(runs)).filter((name) => !name.startsWith("."));
    const hint = isPath || known.length === 0 ? "Train one first." : `There are: ${known.join(", ")}.`;
    throw new UsageError(`${speaker}: there is no run ${directory}. ${hint}`);
  }
  const found = runAt(directory);
  return { ...found, config: await readConfig(found) };
}

/** The run in a directory; null when there is something else in it. */
export async function runIn(directory: string): Promise<FoundRun | null> {
  const found = runAt(directory);
  const config = configOf(await readFile(join(directory, "config.json"), "utf8").catch(() => ""));
  return config && { ...found, config };
}

/** Whether anything was trained in it. */
export async function hasCheckpoint({ files, name }: Run): Promise<boolean> {
  return (await files.list(`${name}/checkpoints`)).some((entry) => entry.startsWith("step-"));
}

/** All checkpoints below the run, as text: another one each time something is saved. */
export async function savedIn({ directory }: Run): Promise<string> {
  const inside = await readdir(directory, { recursive: true });
  return inside.filter((path) => /checkpoints[/\\]step-\d+$/.test(path)).join();
}

export async function writeConfig({ files, name }: Run, config: RunConfig): Promise<void> {
  await writeJson(files, `${name}/config.json`, config);
}

export async function writeJson(files: Files, path: string, value: unknown): Promise<void> {
  await files.write(path, new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`));
}

function runAt(path: string): Run {
  const place = resolve(path);
  return { name: basename(place), directory: path, files: diskFiles(dirname(place)) };
}

async function readConfig({ directory }: Run): Promise<RunConfig> {
  const path = join(directory, "config.json");
  if (!(await exists(path))) throw new FormatError(`${directory}: is not a run, it has no config.json.`);
  const config = configOf(await readFile(path, "utf8"));
  if (config) return config;
  throw new FormatError(`${path}: must be JSON with a command and settings. Is it the directory of a model?`);
}

function configOf(text: string): RunConfig | null {
  try {
    const { command, settings, source, view: written } = JSON.parse(text) as Partial<RunConfig>;
    const view = viewIn(written);
    const right = typeof command === "string" && typeof settings === "object" && settings !== null;
    return right && isSource(source)
      ? { command, settings, ...(source && { source }), ...(view && { view }) }
      : null;
  } catch {
    return null; // not JSON, or no object
  }
}

/** Whether a run learned this file; true for a run without one. */
export function isSameSource(config: RunConfig | null, source: Source | undefined): boolean {
  return !config?.source || config.source.sha256 === source?.sha256;
}

function isSource(source: Partial<Source> | undefined): source is Source | undefined {
  if (source === undefined) return true;
  return typeof source?.path === "string" && typeof source.sha256 === "string";
}

/** runs/text → runs/text.1, or the next number that is free. */
async function freeName(directory: string): Promise<string> {
  for (let i = 1; ; i++) {
    const name = `${directory}.${i}`;
    if (!(await exists(name))) return name;
  }
}

function isOfLock(name: string): boolean {
  return name === "lock" || name.startsWith(".tmp-");
}

async function entries(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") throw new UsageError(`statewise: ${directory} must be a directory, got a file.`);
    throw error;
  }
}

export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
