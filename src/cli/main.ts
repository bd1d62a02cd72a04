#!/usr/bin/env node
import { readFile } from "node:fs/promises";
import { commands, groups } from "./commands.ts";
import { failureOf } from "./errors.ts";
import { parse } from "./parse.ts";
import { Terminal } from "./terminal.ts";

const { stdout, stderr } = process;

/** A reader that goes away, such as `head` or a closed window, is no error: what is worth saving is saved. */
let isReaderGone = false;
for (const stream of [stdout, stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    if (isReaderGone) return;
    isReaderGone = true;
    if (!process.emit("SIGPIPE", "SIGPIPE")) process.exit();
  });
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const plain = new Terminal(stdout, stderr, false);
  try {
    const { colors } = plain;
    const asked = parse(args, { commands, groups, version: await version(), colors, width: stdout.columns });
    if ("help" in asked) {
      plain.write(asked.help);
      return 0;
    }
    const { command, given } = asked;
    return await command.run({
      ...given,
      terminal: new Terminal(stdout, stderr, given.values.json === true),
    });
  } catch (error) {
    const { text, exitCode } = failureOf(error);
    plain.note(text);
    return exitCode;
  }
}

async function version(): Promise<string> {
  const text = await readFile(new URL("../../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
