import type { Flags, Values } from "./flag.ts";
import type { Terminal } from "./terminal.ts";

/** What one call of a command was given. */
export interface Invocation<Some extends Flags> {
  readonly values: Values<Some>;
  /** The flags that the command line itself named; the others have their initial values. */
  readonly given: ReadonlySet<string>;
  /** The word after the command, if it takes one and it was given. */
  readonly argument: string | undefined;
  readonly terminal: Terminal;
}

/** A command of the command line: all that parsing, help and docs need to know of it, and what it does. */
export interface Command<Some extends Flags = Flags> {
  /** One or two words: "devices", "train text". The first speaks in errors. */
  readonly name: string;
  /** What it does: one sentence, the first line of the help. */
  readonly doc: string;
  /** What a reader of the help should know beyond the flags. */
  readonly details?: string;
  /** A word without a flag. */
  readonly argument?: { readonly name: string; readonly doc: string };
  readonly flags: Some;
  /** Does it and returns the exit code: 0, or 130 when interrupted. Throws what stops it. */
  run(invocation: Invocation<Some>): Promise<number>;
}

/** States that `command` is one; the identity, for the types of its flags. */
export function defineCommand<Some extends Flags>(command: Command<Some>): Command {
  return command;
}

/** The name that errors of a command begin with. */
export function speakerOf(command: { readonly name: string }): string {
  return command.name.split(" ")[0];
}
