import assert from "node:assert/strict";
import { test } from "node:test";
import type { KernelCall } from "../../../src/backends/webgpu/kernel.ts";
import { moduleOf } from "../../../src/backends/webgpu/kernel.ts";
import { onTensorCores, tensorCores } from "../../../src/backends/webgpu/kernels/tensorCores.ts";
import { leastGpu } from "../../../src/backends/webgpu/gpu.ts";
import { fanIn, randomParameters } from "../../../src/models/layers.ts";
import { openDevice } from "../../../src/node.ts";
import { matmul } from "../../../src/ops/matmul.ts";
import type { Sizes } from "../../../src/tensor/op.ts";
import { assertNear } from "../../compareCalls.ts";

function call(sizes: Sizes): KernelCall {
  return {
    sizes: { batch: 1, transposeA: 0, transposeB: 0, ...sizes },
    has: () => true,
    adds: () => false,
    length: () => 0,
    dtype: (name) => (name === "b" ? "f16" : "f32"),
  };
}

test("the product on matrix units compiles, on Dawn's device that computes nothing", async () => {
  const { create } = (await import("webgpu" as string)) as { create(flags: string[]): GPU };
  const gpu = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  const adapter = await gpu.requestAdapter();
  const features = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"] as GPUFeatureName[];
  const device = await adapter!.requestDevice({ requiredFeatures: features }); // the null adapter is always there
  const pass = tensorCores(call({ rows: 300, inner: 64, columns: 256 }));
  const { code } = moduleOf(pass, {
    sizes: { rows: 300, inner: 64, columns: 256 },
    floats: [],
    dynamic: ["rows"],
    dtype: (name) => (name === "b" ? "f16" : "f32"),
  });
  device.pushErrorScope("validation");
  device.createShaderModule({ code });
  const error = await device.popErrorScope();
  assert.equal(error?.message, undefined);
  device.destroy();
});

test("matrix units are for f16 weights, whole tiles of columns, and enough rows", () => {
  const gpu = { ...leastGpu, matrices: true };
  const sizes = { rows: 128, inner: 64, columns: 256 };
  assert.ok(onTensorCores(call(sizes), gpu));
  const others: Sizes[] = [{ rows: 8 }, { inner: 40 }, { columns: 200 }, { transposeB: 1 }, { batch: 2 }];
  for (const other of others) assert.ok(!onTensorCores(call({ ...sizes, ...other }), gpu));
  assert.ok(!onTensorCores({ ...call(sizes), dtype: () => "f32" }, gpu));
  assert.ok(!onTensorCores(call(sizes), leastGpu));
});

test("the product on matrix units is that of the f16 numbers, up to the rounding of a", async (context) => {
  const device = await openDevice({ device: "webgpu" });
  const { gpu } = device.backend as unknown as { gpu: { matrices: boolean } };
  if (!gpu.matrices) {
    await device.dispose();
    context.skip("this GPU has no matrix units that WebGPU offers");
    return;
  }
  const plain = await openDevice({ device: "plain" });
  for (const [rows, inner, columns] of [
    [128, 64, 128],
    [300, 96, 256],
    [33, 32, 384],
  ]) {
    const product = async (on: typeof device) => {
      const source = randomParameters(on, 2);
      const [a, b] = [source("a", [rows, inner], fanIn(1)), source("b", [inner, columns], fanIn(1))];
      await a.store("f16"); // then nothing is lost in rounding it again
      await a.store("f32");
      await b.store("f16");
      return (await matmul(a, b).read()) as Float32Array;
    };
    assertNear(`${rows} × ${inner} × ${columns}`, await product(device), await product(plain), 2e-5);
  }
  await device.dispose();
});
