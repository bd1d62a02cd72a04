import type { Command } from "./command.ts";
import { type Flag, initialOf, spelled } from "./flag.ts";

/** docs/cli.md: every command with its flags, from the declarations that the parser uses. */
export function commandsAsMarkdown(commands: readonly Command[]): string {
  const parts = [
    "# The command line",
    "Written by `scripts/docs.ts` from the declarations in `src/cli/flags.ts` and `src/cli/commands/`: edit those.",
    "Exit codes: 0 done, 1 failed, 2 the command line is wrong, 130 interrupted (what was done is saved). With `--json`, " +
      "standard output has one JSON object a line. Escape codes go to terminals only, and `NO_COLOR` turns colours off.",
    ...commands.flatMap(commandAsMarkdown),
  ];
  return `${parts.join("\n\n")}\n`;
}

function commandAsMarkdown(command: Command): string[] {
  const { name, doc, details, argument, flags } = command;
  const usage = ["statewise", name, argument && `[${argument.name}]`, "[flags]"].filter(Boolean).join(" ");
  const rows = Object.entries(flags).map(([name, flag]) => flagAsRow(name, flag));
  return [
    `## ${name}`,
    doc,
    `    ${usage}`,
    ...(argument ? [`\`${argument.name}\`: ${argument.doc}.`] : []),
    ...(details === undefined ? [] : [details]),
    table(["flag", "meaning", "value", "default"], rows),
  ];
}

function flagAsRow(name: string, flag: Flag<unknown>): string[] {
  const { placeholder, repeats, expected, doc } = flag;
  const value = placeholder === null ? "" : ` ${placeholder}${repeats ? "…" : ""}`;
  const range = placeholder === "N" || placeholder === "X" ? expected.replace(/^a /, "") : "";
  return [`\`${spelled(name)}${value}\``, doc, range, initialOf(flag) ?? ""];
}

/** As prettier would lay it out. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
