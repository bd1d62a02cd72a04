import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebGpuBackend } from "../../../src/backends/webgpu/backend.ts";
import { gridOf, moduleOf, type Pass } from "../../../src/backends/webgpu/kernel.ts";
import { openDevice } from "../../../src/node.ts";
import type { Sizes } from "../../../src/tensor/op.ts";

const device = await openDevice({ device: "webgpu", gpu: { defaultLimits: true, subgroups: false } });
after(() => device.dispose());

const context = (sizes: Sizes, floats: string[] = [], dynamic: string[] = []) => ({
  sizes,
  floats,
  dynamic,
  dtype: () => "f32" as const,
});

/** Runs a pass that writes `y`, and reads that. */
async function execute(pass: Pass, given: ReturnType<typeof context>, length: number): Promise<Float32Array> {
  const { backend } = device;
  assert.ok(backend instanceof WebGpuBackend);
  const gpu = backend.device;
  const { code, uniforms } = moduleOf(pass, given);
  const types: GPUBufferBindingType[] = uniforms.length > 0 ? ["storage", "uniform"] : ["storage"];
  const layout = gpu.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility: 0x4, buffer: { type } })), // of compute shaders
  });
  const pipeline = gpu.createComputePipeline({
    layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
  });
  const y = gpu.createBuffer({ size: 4 * length, usage: 0x80 | 0x4 }); // storage, to be copied from
  const staging = gpu.createBuffer({ size: 4 * length, usage: 0x1 | 0x8 }); // to be mapped and copied to
  const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: y } }];
  if (uniforms.length > 0) {
    const buffer = gpu.createBuffer({ size: 256, usage: 0x40 | 0x8 }); // uniform, to be copied to
    gpu.queue.writeBuffer(
      buffer,
      0,
      Int32Array.from(uniforms, (word) => word | 0),
    );
    entries.push({ binding: 1, resource: { buffer } });
  }
  const encoder = gpu.createCommandEncoder();
  const run = encoder.beginComputePass();
  run.setPipeline(pipeline);
  run.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
  run.dispatchWorkgroups(...gridOf(pass.workgroups));
  run.end();
  encoder.copyBufferToBuffer(y, 0, staging, 0, 4 * length);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  return new Float32Array(staging.getMappedRange()).slice();
}

test("sizes are constants, or uniforms where they are dynamic, each of its type", async () => {
  const pass: Pass = {
    reads: [],
    writes: ["y"],
    workgroups: 1,
    workgroupSize: 1,
    code: `fn run(group: u32, lane: u32) { y[0] = f32(n); y[1] = f32(shift); y[2] = rate; y[3] = f32(rows); }`,
  };
  const sizes = { n: 7, shift: -3, rate: 0.25, rows: 11, unused: 5 };
  for (const dynamic of [[], ["rows"], ["n", "shift", "rate", "rows"]]) {
    const given = context(sizes, ["rate"], dynamic);
    assert.deepEqual([...(await execute(pass, given, 4))], [7, -3, 0.25, 11]);
    const { code, uniforms } = moduleOf(pass, given);
    assert.equal(uniforms.length, dynamic.length);
    assert.ok(!code.includes("unused"));
  }
});

test("programs that differ in dynamic sizes alone have one module", () => {
  const pass = (workgroups: number): Pass => ({
    reads: ["u"],
    writes: ["y"],
    workgroups,
    code: "fn run(group: u32, lane: u32) { if (lane < rows) { y[lane] = u[lane]; } }",
  });
  const code = (rows: number) => moduleOf(pass(rows), context({ rows }, [], ["rows"])).code;
  assert.equal(code(5), code(60_000));
  assert.notEqual(moduleOf(pass(5), context({ rows: 5 })).code, moduleOf(pass(5), context({ rows: 6 })).code);
});

test("numbers that WGSL has no literal for are refused as constants and pass as uniforms", async () => {
  const pass: Pass = {
    reads: [],
    writes: ["y"],
    workgroups: 1,
    workgroupSize: 1,
    code: "fn run(group: u32, lane: u32) { y[0] = most; }",
  };
  const infinite = context({ most: Infinity }, ["most"], ["most"]);
  assert.deepEqual([...(await execute(pass, infinite, 1))], [Infinity]);
  assert.throws(() => moduleOf(pass, context({ most: Infinity }, ["most"])), {
    message: "internal: a WGSL constant must be whole, or a finite float that is called one, got Infinity",
  });
  assert.throws(() => moduleOf(pass, context({ most: 0.5 })), /must be whole/);
});

test("more workgroups than one line takes are folded into several, and each runs once", async () => {
  for (const workgroups of [65_535, 65_536, 70_001, 131_071]) {
    const [columns, rows] = gridOf(workgroups);
    assert.ok(columns <= 65_535 && columns * rows >= workgroups && columns * rows < workgroups + rows);
    const pass: Pass = {
      reads: [],
      writes: ["y"],
      workgroups,
      workgroupSize: 1,
      code: "fn run(group: u32, lane: u32) { y[group] += f32(group + 1u); }",
    };
    const y = await execute(pass, context({}), workgroups);
    assert.ok(y.every((value, i) => value === i + 1));
  }
});
