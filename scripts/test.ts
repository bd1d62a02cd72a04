/** Runs the compiled tests (all, or those whose path contains an argument) and ends with a line that counts them. */
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { softwareGpuEnvironment } from "./softwareGpu.ts";

const wanted = process.argv.slice(2);
const files = readdirSync("dist/test", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.js"))
  .map((file) => join("dist/test", file))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(`test: no test file matches ${wanted.join(", ")}`);
  process.exit(2);
}

Object.assign(process.env, await softwareGpuEnvironment()); // the test processes begin with it

const counts = new Map<string, number>();
const stream = run({ files, concurrency: availableParallelism() });
stream.on("test:diagnostic", ({ message, nesting }) => {
  const [, name, count] = /^(pass|fail|cancelled|skipped) (\d+)$/.exec(message) ?? [];
  if (nesting === 0 && name) counts.set(name, Number(count));
});
stream.compose(new spec()).pipe(process.stdout);
stream.on("end", () => {
  const count = (name: string) => counts.get(name) ?? 0;
  const failed = count("fail") + count("cancelled");
  process.exitCode = failed > 0 || count("pass") === 0 ? 1 : 0;
  setImmediate(() => console.log(`\n${count("pass")} passed, ${failed} failed, ${count("skipped")} skipped`));
});
