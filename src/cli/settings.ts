import { isDeepStrictEqual } from "node:util";
import { FormatError, UsageError } from "../node.ts";
import { type Flag, type Flags, spelled } from "./flag.ts";
import { rhythmFlags } from "./flags.ts";
import type { RunConfig } from "./run.ts";
import type { Settings, TaskKind } from "./lesson.ts";

/** These say where the data is: it may have moved, and is known by what is in it. */
export const dataFlags = ["file", "csv", "folder", "images", "labels"] as const;

/** The settings among the values of a command; none for a flag that was not given and has no initial value. */
export function settingsOf(flags: Flags, values: Readonly<Record<string, unknown>>): Settings {
  const known = Object.keys(flags).filter((name) => values[name] !== undefined);
  return Object.fromEntries(known.map((name) => [name, values[name]])) as unknown as Settings; // of these flags
}

/** The settings of a run's config.json, each checked like a flag; what it does not say is as initially. */
export function readSettings(
  kind: TaskKind,
  directory: string,
  { settings: stored, source }: RunConfig,
): Settings {
  const settings: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries<Flag<unknown>>(kind.flags)) {
    const value = name === "file" ? source?.path : (stored[name] ?? flag.initial);
    if (value === undefined) continue;
    const accepted = flag.repeats ? Array.isArray(value) && value.every(flag.accepts) : flag.accepts(value);
    if (!accepted) {
      throw new FormatError(
        `${directory}/config.json: ${name} must be ${flag.expected}, got ${JSON.stringify(value)}. ` +
          "Write it back as it was, or train anew under another name.",
      );
    }
    settings[name] = value;
  }
  return settings as unknown as Settings; // every flag has its value
}

/**
 * What a run goes on with: its own settings, with those that the command line changes and that may be changed. Those
 * are when to evaluate and to save, and how long to train, unless the learning rate depends on that.
 * @throws UsageError that names every other difference.
 */
export function resumedSettings(
  speaker: string,
  directory: string,
  own: Settings,
  asked: Settings,
  given: ReadonlySet<string>,
): Settings {
  const free = new Set([
    ...Object.keys(rhythmFlags),
    ...(own.schedule === "constant" ? ["steps"] : []),
    ...dataFlags,
  ]);
  const before: Readonly<Record<string, unknown>> = { ...own };
  const wanted = Object.entries(asked).filter(([name]) => given.has(name));
  const different = wanted.filter(
    ([name, value]) => !free.has(name) && !isDeepStrictEqual(before[name], value),
  );
  if (different.length > 0) {
    const list = different
      .map(([name, value]) => `${spelled(name)} ${before[name]}, not ${value}`)
      .join("; ");
    throw new UsageError(
      `${speaker}: ${directory} was trained with ${list}. Leave the flag out to resume it, choose another --name, ` +
        "or give --fresh to move it aside and begin anew.",
    );
  }
  return { ...own, ...Object.fromEntries(wanted.filter(([name]) => free.has(name))) };
}
