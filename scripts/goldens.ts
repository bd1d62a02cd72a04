/**
 * Checks this project's code against golden cases: `<case>.json`, which describes a case, beside `<case>.safetensors`,
 * which holds its inputs and what other people's code computed from them. An adapter per kind (goldens/adapters.ts)
 * computes the same with ours.
 *
 *   npm run goldens -- [--device plain|wasm|native|webgpu] [--precision f32|f64] DIR
 *
 * Exit code 0: no case failed. 1: a case failed, or the device did not open. 2: the command line is wrong.
 */
import { readdir } from "node:fs/promises";
import { parseArgs } from "node:util";
import { diskFiles } from "../src/checkpoint/diskFiles.ts";
import { openDevice } from "../src/node.ts";
import type { Float } from "../src/tensor/backend.ts";
import { DeviceError, UsageError } from "../src/tensor/errors.ts";
import { adapters } from "./goldens/adapters.ts";
import { describeCase, describeGaps, describeTotals } from "./goldens/report.ts";
import { type CaseResult, runCase } from "./goldens/run.ts";

const USAGE = "Usage: npm run goldens -- [--device plain|wasm|native|webgpu] [--precision f32|f64] DIR";

interface Options {
  readonly folder: string;
  readonly device: string | undefined;
  readonly precision: Float;
}

try {
  process.exitCode = (await runAll(readOptions(process.argv.slice(2)))) ? 0 : 1;
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\n${USAGE}`);
    process.exitCode = 2;
  } else if (error instanceof DeviceError) {
    console.error(error.message);
    process.exitCode = 1;
  } else throw error;
}

/** Runs and reports every case of the folder; true when none failed. */
async function runAll({ folder, device: wanted, precision }: Options): Promise<boolean> {
  const names = await listCases(folder);
  const device = await openDevice({ device: wanted, float: precision });
  console.log(`${names.length} cases of ${folder} on ${device.name} in ${device.float}\n`);
  const files = diskFiles(folder);
  const results: CaseResult[] = [];
  try {
    for (const name of names) {
      const result = await runCase(files, name, adapters, { device });
      console.log(describeCase(result));
      results.push(result);
    }
  } finally {
    await device.dispose();
  }
  console.log(`\n${describeGaps(results)}\n`);
  console.log(describeTotals(results));
  return results.every(({ outcome }) => outcome !== "failed");
}

/** The cases of a folder, sorted. A tensor file without a description is one too, so that it fails. */
async function listCases(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`goldens: DIR must be a folder that can be read, got ${folder} (${error.code}).`);
  });
  const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const cases = files
    .map((file) => /^(.+)\.(?:json|safetensors)$/.exec(file)?.[1])
    .filter((name) => name !== undefined);
  if (cases.length === 0) throw new UsageError(`goldens: DIR must hold golden cases, got none in ${folder}.`);
  return [...new Set(cases)].sort();
}

function readOptions(args: string[]): Options {
  const { values, positionals } = parse(args);
  if (positionals.length !== 1) {
    throw new UsageError(
      `goldens: takes one DIR, got ${positionals.length === 0 ? "none" : positionals.join(" ")}.`,
    );
  }
  const { device, precision } = values;
  if (precision !== "f32" && precision !== "f64") {
    throw new UsageError(`goldens: --precision must be f32 or f64, got ${precision}.`);
  }
  if (precision === "f64" && device !== undefined && device !== "plain") {
    throw new UsageError(`goldens: --precision f64 needs --device plain, got ${device}.`);
  }
  return { folder: positionals[0], device: precision === "f64" ? "plain" : device, precision };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { device: { type: "string" }, precision: { type: "string", default: "f32" } },
    });
  } catch (error) {
    throw new UsageError(`goldens: ${error instanceof Error ? error.message : error}`);
  }
}
