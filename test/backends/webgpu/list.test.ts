import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { kernelSets } from "../../../src/backends/webgpu/kernels/list.ts";
import type { Op } from "../../../src/tensor/op.ts";

/** Every op that a file under ops/ exports, alone or in a list. */
async function allOps(): Promise<Op[]> {
  const folder = new URL("../../../src/ops/", import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith(".js"));
  const modules = await Promise.all(files.map((file) => import(new URL(file, folder).href)));
  const exported = modules.flatMap((module) => Object.values(module as Record<string, unknown>));
  return exported.flatMap((value): unknown[] => (Array.isArray(value) ? value : [value])).filter(isOp);
}

function isOp(value: unknown): value is Op {
  return typeof value === "object" && value !== null && "shapes" in value && "forward" in value;
}

test("every op of the project has its kernels on the GPU, forward and, where it has one, backward", async () => {
  const ops = await allOps();
  assert.ok(ops.length > 50, `found ${ops.length} ops only`);
  const missing = ops.flatMap((op) => [
    ...(op.alias || kernelSets[op.name]?.forward ? [] : [`${op.name} forward`]),
    ...(!op.backward || kernelSets[op.name]?.backward ? [] : [`${op.name} backward`]),
  ]);
  assert.deepEqual(missing.sort(), []);
});
