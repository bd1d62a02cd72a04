/** Prints the lines of code per folder, and the change against the last commit of main: deletion is a feature. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const counted = /^(src|lab|test|scripts|bench|examples)\/.*\.(ts|tsx|c|h)$/;
const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8", maxBuffer: 2 ** 28 });
const base = git("rev-parse", "--verify", "--quiet", "main").trim();

/** src/ops/matmul.ts counts for src/ops, test/ops/… for test. */
function folderOf(file: string): string {
  const parts = file.split("/");
  return parts[0] === "src" && parts.length > 2 ? `src/${parts[1]}` : parts[0];
}

function linesOf(text: string): number {
  return text.split("\n").filter((line) => line.trim() !== "").length;
}

function count(files: readonly string[], read: (file: string) => string): Map<string, number> {
  const totals = new Map<string, number>();
  for (const file of files.filter((name) => counted.test(name))) {
    const folder = folderOf(file);
    totals.set(folder, (totals.get(folder) ?? 0) + linesOf(read(file)));
  }
  return totals;
}

const now = count(git("ls-files", "--cached", "--others", "--exclude-standard").trim().split("\n"), (file) =>
  readFileSync(file, "utf8"),
);
const before = count(git("ls-tree", "-r", "--name-only", base).trim().split("\n"), (file) =>
  git("show", `${base}:${file}`),
);
for (const folder of [...new Set([...now.keys(), ...before.keys()])].sort()) {
  const lines = now.get(folder) ?? 0;
  const change = lines - (before.get(folder) ?? 0);
  const sign = change > 0 ? "+" : "";
  console.log(`${folder.padEnd(18)} ${String(lines).padStart(6)}${change === 0 ? "" : `  ${sign}${change}`}`);
}
