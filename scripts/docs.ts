/** Writes docs/cli.md. Run it after a flag or a command has changed: `node dist/scripts/docs.js`. */
import { writeFileSync } from "node:fs";
import { commands } from "../src/cli/commands.ts";
import { commandsAsMarkdown } from "../src/cli/docs.ts";

writeFileSync("docs/cli.md", commandsAsMarkdown(commands));
