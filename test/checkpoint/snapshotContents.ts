import assert from "node:assert/strict";

import { join, type Files } from "../../src/checkpoint/files.ts";
import type { Snapshot } from "../../src/checkpoint/snapshot.ts";

const names = ["config.json", "model.bin", "optimizer.bin"];

/** Files that say in which snapshot they belong. */
export function contentsOf(step: number, version: string, length = 20): Record<string, Uint8Array> {
  const text = (name: string) => `${version} ${step} ${name} `.padEnd(length, ".");
  return Object.fromEntries(names.map((name) => [name, new TextEncoder().encode(text(name))]));
}

/** Asserts that all files of the snapshot are there and of one version, and returns it. */
export async function expectWhole(files: Files, snapshot: Snapshot | null): Promise<string> {
  assert.ok(snapshot !== null);
  const versions = new Set<string>();
  for (const name of names) {
    const text = new TextDecoder().decode(await files.read(join(snapshot.directory, name)));
    const [version, step, written] = text.split(" ");
    assert.deepEqual([step, written], [String(snapshot.step), name]);
    versions.add(version);
  }
  assert.equal(versions.size, 1, `versions ${[...versions].join(", ")} in one snapshot`);
  return [...versions][0];
}
