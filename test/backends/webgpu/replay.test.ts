import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type GpuExecutable, WebGpuBackend } from "../../../src/backends/webgpu/backend.ts";
import { openDevice } from "../../../src/node.ts";
import { add, scale } from "../../../src/ops/arithmetic.ts";
import { assign } from "../../../src/ops/assign.ts";
import { tanh } from "../../../src/ops/activation.ts";
import { capture } from "../../../src/tensor/capture.ts";

const device = await openDevice({ device: "webgpu" });
after(() => device.dispose());

test("a program repeated n times in one submission computes what n runs compute; timing it is a run, too", async () => {
  const u = device.tensor([1, 2, 3, 4]);
  const program = capture(device, () => assign(u, scale(add(u, tanh(u)), 0.5)));
  const executable = program.executable as GpuExecutable;
  for (let i = 0; i < 5; i++) program.run();
  const expected = await u.read();
  u.write([1, 2, 3, 4]);
  executable.repeat(3);
  const runs = await executable.time(1, { times: 2 });
  const none = await executable.time(3, { of: () => false });
  assert.deepEqual(await u.read(), expected);
  assert.equal(runs?.length, 1);
  assert.equal(none?.length, 3);
  assert.ok([...runs!, ...none!].every((time) => time >= 0 && time < 1)); // both were measured
  program.free();
  await assert.rejects(executable.time(1), { name: "DeviceError", message: /freed/ });
});

test("settle() waits for all calls made so far", async () => {
  const { backend } = device;
  assert.ok(backend instanceof WebGpuBackend);
  const u = device.tensor(new Float32Array(2 ** 16).fill(1));
  for (let i = 0; i < 100; i++) add(u, u).free();
  await backend.settle();
  await backend.settle();
});
