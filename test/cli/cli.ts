import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestContext } from "node:test";

const main = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly pid: number;
  /** Resolves when standard output has this text. */
  saw(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  /** Reads no more of standard output, as `head` does. */
  closeOutput(): void;
  readonly ended: Promise<Ended>;
}

export interface StartOptions {
  readonly cwd: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** A folder that is gone after the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "statewise-cli-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts the real command line, its output piped. The device is the plain one unless `env` says otherwise. */
export function start(
  args: readonly string[],
  { cwd, input = "", env = {}, timeoutMs = 60_000 }: StartOptions,
): Started {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    timeout: timeoutMs,
    env: { PATH: process.env.PATH, STATEWISE_DEVICE: "plain", ...env },
  });
  let stdout = "";
  let stderr = "";
  let look = () => {};
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.end(input);
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return {
    pid: child.pid ?? 0,
    kill: (signal) => void child.kill(signal),
    closeOutput: () => child.stdout.destroy(),
    ended,
    saw: (text) =>
      new Promise((resolve, reject) => {
        look = () => stdout.includes(text) && resolve();
        look();
        void ended.then(() => reject(new Error(`ended without saying ${text}: ${stdout}${stderr}`)));
      }),
  };
}

/** Runs the real command line to its end. */
export function statewise(args: readonly string[], options: StartOptions): Promise<Ended> {
  return start(args, options).ended;
}

/** The objects of a file or an output of JSON lines. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** What a run measured, without the times, which no two runs share. */
export function metricsOf(run: string): Record<string, unknown>[] {
  const metrics = jsonLines(readFileSync(join(run, "metrics.jsonl"), "utf8"));
  return metrics.map((metric) => ({ ...metric, seconds: undefined }));
}

/** A training that takes a moment on the plain device. */
export const tiny = ["--d-model", "4", "--d-state", "2", "--layers", "1", "--batch", "2", "--length", "6"];

/** Asserts that two runs are the same to the last bit: what they measured, and their newest checkpoints. */
export function assertSame(one: string, other: string): void {
  assert.deepEqual(metricsOf(one), metricsOf(other));
  const newest = (run: string) => {
    const latest = JSON.parse(readFileSync(join(run, "checkpoints", "latest.json"), "utf8")) as {
      directory: string;
    };
    return join(run, "checkpoints", latest.directory);
  };
  const [a, b] = [newest(one), newest(other)];
  assert.deepEqual(readdirSync(a), readdirSync(b));
  for (const file of readdirSync(a)) {
    assert.ok(readFileSync(join(a, file)).equals(readFileSync(join(b, file))), file);
  }
}
