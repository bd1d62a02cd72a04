import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebGpuBackend } from "../../../src/backends/webgpu/backend.ts";
import { openDevice } from "../../../src/node.ts";
import { add, mul, scale } from "../../../src/ops/arithmetic.ts";
import { tanh } from "../../../src/ops/activation.ts";
import { assign } from "../../../src/ops/assign.ts";
import { sum } from "../../../src/ops/reduce.ts";
import { rmsNorm } from "../../../src/ops/rmsNorm.ts";
import { gradients } from "../../../src/tensor/autograd.ts";
import { capture } from "../../../src/tensor/capture.ts";
import type { Device } from "../../../src/tensor/device.ts";
import { apply, defineOp } from "../../../src/tensor/op.ts";
import { scope } from "../../../src/tensor/scope.ts";
import { normals } from "../../compareCalls.ts";

const device = await openDevice({ device: "webgpu" });
after(() => device.dispose());

function backendOf({ backend }: Device): WebGpuBackend {
  assert.ok(backend instanceof WebGpuBackend);
  return backend;
}

/** That memory in use and held did not grow. It may shrink: tensors of earlier tests are collected when it pleases. */
function assertNoMore(before: ReturnType<WebGpuBackend["use"]>): void {
  const now = backendOf(device).use();
  for (const what of ["buffers", "bytes", "heldBytes"] as const) {
    assert.ok(now[what] <= before[what], `${what}: ${now[what]}, ${before[what]} before`);
  }
}

/** A little model: its loss and the gradients of what it learns. */
function train(on: Device) {
  const [u, w, gain] = [
    on.tensor(normals(1, 37, 24).values, [37, 24]),
    on.tensor(normals(2, 24).values),
    on.tensor(normals(3, 24).values),
  ];
  const step = () => {
    const { value, gradients: found } = gradients([w, gain], () =>
      sum(tanh(mul(rmsNorm(u, gain), add(w, scale(w, 0.5))))),
    );
    return [value, found.get(w)!, found.get(gain)!]; // the value depends on both
  };
  return { w, step };
}

test("a captured program gives the same bits as single calls, and so does another run", async () => {
  const { step } = train(device);
  const eager = await Promise.all(step().map((tensor) => tensor.read()));
  const program = capture(device, step);
  for (let i = 0; i < 2; i++) {
    program.run();
    assert.deepEqual(await Promise.all(program.result.map((tensor) => tensor.read())), eager);
  }
  program.free();
});

test("ten thousand single calls hold no more memory than the first hundred", async () => {
  const { step } = train(device);
  const steps = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const [loss] = scope(device, () => step().slice(0, 1));
      if (i % 50 === 49) await loss.read();
      loss.free();
    }
  };
  await steps(100);
  const before = backendOf(device).use();
  await steps(800); // of 13 ops each, forward and backward
  assertNoMore(before);
});

test("ten thousand replays hold no more memory than the first", async () => {
  const backend = backendOf(device);
  const [h, u] = [device.zeros([64]), device.tensor(normals(1, 64).values)];
  const program = capture(device, () => assign(h, tanh(add(h, u))));
  program.run();
  await h.read();
  const before = backend.use();
  for (let i = 0; i < 10_000; i++) {
    program.run();
    if (i % 500 === 499) await h.read();
  }
  assertNoMore(before);
  program.free();
});

test("freed programs and tensors give back all they had", async () => {
  const backend = backendOf(device);
  const before = backend.use();
  for (let i = 0; i < 20; i++) {
    const u = device.tensor(normals(i, 100 + i).values);
    const program = capture(device, () => tanh(scale(tanh(u), 2)));
    u.free(); // the program holds it
    program.run();
    assert.equal((await program.result.read()).length, 100 + i);
    program.free();
  }
  const { buffers, bytes } = backend.use();
  assert.ok(buffers <= before.buffers && bytes <= before.bytes);
});

test("several reads in flight each have the numbers of their moment", async () => {
  const u = device.tensor([1, 2, 3]);
  const reads = [];
  for (let i = 0; i < 20; i++) {
    reads.push(u.read());
    assign(u, scale(u, 2));
  }
  reads.push(u.read());
  for (const [i, values] of (await Promise.all(reads)).entries()) {
    assert.deepEqual(
      [...values],
      [1, 2, 3].map((x) => x * 2 ** i),
    );
  }
});

test("what is written between calls and runs is seen by those that come after, and by no other", async () => {
  const u = device.tensor([1, 1]);
  const first = scale(u, 10);
  u.write([2, 2]);
  const second = scale(u, 10); // the first still waits to be submitted
  u.write([3, 3]);
  const program = capture(device, () => scale(u, 10));
  program.run();
  const third = program.result.read();
  u.write([4, 4]);
  program.run();
  u.write([5, 5]);
  const all = await Promise.all([first.read(), second.read(), third, program.result.read()]);
  assert.deepEqual(
    all.map(([x]) => x),
    [10, 20, 30, 40],
  );
  backendOf(device).write(u.buffer, [7], 1);
  assert.deepEqual([...(await u.read())], [5, 7]);
});

test("more calls wait than one submission takes, and uniforms keep their numbers", async () => {
  const one = device.tensor([1]); // writing between the calls would submit them
  const results = Array.from({ length: 300 }, (_, i) => scale(one, i));
  for (const [i, result] of results.entries()) assert.equal(await result.item(), i);
});

test("a freed tensor and a freed program are refused", async () => {
  const u = device.tensor([1, 2]);
  const program = capture(device, () => scale(u, 2));
  u.free();
  const freed = { name: "DeviceError", message: "webgpu: the tensor was freed and then used again" };
  program.run();
  assert.deepEqual([...(await program.result.read())], [2, 4]);
  program.free();
  assert.throws(() => scale(u, 2), freed);
  assert.throws(() => u.write([1, 2]), freed);
  await assert.rejects(u.read(), freed);
  assert.throws(() => program.run(), {
    name: "DeviceError",
    message: "webgpu: the program was freed and then run again",
  });
});

test("an op without a kernel is refused by name", () => {
  const op = defineOp<null>({
    name: "unknownOp",
    inputs: ["u"],
    outputs: ["y"],
    shapes: ([u]) => ({ sizes: {}, outputs: [u!] }), // not optional
    forward() {},
  });
  assert.throws(() => apply(op, [device.zeros([1])], null), {
    name: "DeviceError",
    message: "webgpu: has no forward kernel for unknownOp. Use another device.",
  });
});

test("what the device cannot bind is refused before anything runs, with the sizes", async () => {
  const small = await openDevice({ device: "webgpu", gpu: { defaultLimits: true, subgroups: false } });
  const refused = {
    name: "DeviceError",
    message:
      "webgpu: a tensor needs a buffer of 144 MiB, this device binds 128 MiB at most. " +
      "Use smaller batches or sequences, or another device.",
  };
  assert.throws(() => small.empty([36, 2 ** 20]), refused);
  const u = small.tensor([1]);
  const before = backendOf(small).use();
  assert.throws(() => capture(small, () => sum(add(u, small.empty([36, 2 ** 20])))), refused);
  assert.equal(backendOf(small).use().buffers, before.buffers);
  assert.throws(() => small.empty([1], "f64"), {
    name: "DeviceError",
    message: "webgpu: computes in f32 only. Use the plain device for f64.",
  });
  await small.dispose();
  assert.throws(() => scale(u, 2), {
    name: "DeviceError",
    message: "webgpu: the device was disposed and then used again",
  });
});

test("a lost GPU is an error that says what to do, whatever is called next", async () => {
  const lost = await openDevice({ device: "webgpu" });
  const u = lost.tensor([1, 2]);
  const program = capture(lost, () => scale(u, 2));
  const reading = u.read();
  const { device: gpu } = backendOf(lost);
  await reading;
  gpu.destroy();
  await gpu.lost;
  const error = {
    name: "DeviceLostError",
    message:
      /^webgpu: the GPU was lost \(.+\)\. Open the device anew; a training run goes on from its last checkpoint\.$/,
  };
  assert.throws(() => scale(u, 2), error);
  assert.throws(() => program.run(), error);
  assert.throws(() => u.write([3, 4]), error);
  assert.throws(() => lost.zeros([1]), error);
  await assert.rejects(u.read(), error);
  program.free();
  await lost.dispose();
});
