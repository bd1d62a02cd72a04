import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebGpuBackend } from "../../../src/backends/webgpu/backend.ts";
import { workgroupBytes } from "../../../src/backends/webgpu/fusion/merge.ts";
import { type GpuOptions, leastGpu } from "../../../src/backends/webgpu/gpu.ts";
import type { Gpu } from "../../../src/backends/webgpu/kernel.ts";
import { trafficOf } from "../../../src/backends/webgpu/traffic.ts";
import { Decoder } from "../../../src/generate/decoder.ts";
import {
  carryState,
  fanIn,
  type NamedTensors,
  randomParameters,
  within,
} from "../../../src/models/layers.ts";
import { createMamba, MambaBlock, mambaConfig, mambaKind } from "../../../src/models/mamba.ts";
import { openDevice } from "../../../src/node.ts";
import { exp, neg, silu } from "../../../src/ops/activation.ts";
import { add } from "../../../src/ops/arithmetic.ts";
import { crossEntropy } from "../../../src/ops/crossEntropy.ts";
import { matmul } from "../../../src/ops/matmul.ts";
import { split } from "../../../src/ops/reshape.ts";
import { rmsNorm } from "../../../src/ops/rmsNorm.ts";
import { gradients } from "../../../src/tensor/autograd.ts";
import type { Plan } from "../../../src/tensor/backend.ts";
import { capture } from "../../../src/tensor/capture.ts";
import type { Device } from "../../../src/tensor/device.ts";
import { reshape } from "../../../src/tensor/reshape.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { assertNear } from "../../compareCalls.ts";

const opened: Device[] = [];
after(() => Promise.all(opened.map((device) => device.dispose())));

async function gpu(options: GpuOptions = {}): Promise<Device> {
  const device = await openDevice({ device: "webgpu", gpu: options });
  opened.push(device);
  return device;
}

/** The ops of a program as the GPU dispatches them. */
function dispatchesOf(device: Device, fn: () => unknown): string[] {
  const { compile } = device.backend;
  const labels: string[] = [];
  const backend = device.backend as WebGpuBackend;
  backend.compile = (plan) => {
    const made = compile.call(backend, plan) as ReturnType<WebGpuBackend["compile"]>;
    labels.push(...made.dispatches.map(({ label }) => label));
    return made;
  };
  try {
    capture(device, fn).free();
  } finally {
    backend.compile = compile as WebGpuBackend["compile"];
  }
  return labels;
}

/** A pre-norm residual block of Mamba, stepped: what decoding does in every layer. */
function mambaLayer(device: Device, { batch, dModel }: { batch: number; dModel: number }) {
  const source = randomParameters(device, 7);
  const config = mambaKind.config({ dModel, layers: 1 });
  const block = new MambaBlock(config, within("block", source));
  const gain = source("gain", [dModel], fanIn(2));
  const state = block.initialState(batch);
  const x = device.tensor(
    Float32Array.from({ length: batch * dModel }, (_, i) => Math.sin(i + 1)),
    [batch, dModel],
  );
  return { block, gain, state, x };
}

function layerStep({ block, gain, state, x }: ReturnType<typeof mambaLayer>): Tensor {
  const next = block.step(rmsNorm(x, gain), state);
  carryState([state], [next.state]);
  return add(x, next.y);
}

async function runSteps(device: Device, sizes: { batch: number; dModel: number }, half: boolean) {
  const layer = mambaLayer(device, sizes);
  if (half) {
    const { inX, inZ, xProj, dtProj, out } = layer.block.parameters;
    for (const matrix of [inX, inZ, xProj, dtProj, out]) await matrix.store("f16");
  }
  const program = capture(device, () => layerStep(layer));
  const outputs: Float32Array[] = [];
  for (let i = 0; i < 5; i++) {
    layer.x.write(Float32Array.from({ length: sizes.batch * sizes.dModel }, (_, k) => Math.cos(k * (i + 1))));
    program.run();
    outputs.push((await program.result.read()) as Float32Array);
  }
  const states = Object.values(layer.state as NamedTensors).map((tensor) => tensor.read());
  return [...outputs, ...((await Promise.all(states)) as Float32Array[])];
}

test("a Mamba layer decodes in 3 dispatches, in 5 with the default limits, and computes what the plain loops do", async () => {
  const plain = await openDevice({ device: "plain" });
  for (const [options, most] of [
    [{}, 3],
    [{ defaultLimits: true }, 5],
  ] as const) {
    const device = await gpu(options);
    const labels = dispatchesOf(device, () => layerStep(mambaLayer(device, { batch: 1, dModel: 64 })));
    assert.equal(labels.length, most, labels.join(", "));
    for (const { half, ...sizes } of [
      { batch: 1, dModel: 32, half: false },
      { batch: 3, dModel: 33, half: false },
      { batch: 2, dModel: 64, half: true },
      { batch: 3, dModel: 128, half: false },
    ]) {
      const expected = await runSteps(plain, sizes, half);
      for (const [i, values] of (await runSteps(device, sizes, half)).entries())
        assertNear(`result ${i} of batch ${sizes.batch}, D ${sizes.dModel}`, values, expected[i], 2e-5);
    }
  }
});

test("in a model a Mamba layer decodes in 2 dispatches where 12 buffers may be bound, and computes what the plain loops do", async () => {
  const plain = await openDevice({ device: "plain" });
  const [device, narrow] = [await gpu(), await gpu({ parallelism: 512 })];
  assert.ok(device.backend instanceof WebGpuBackend && device.backend.gpu.storageBuffers >= 12);
  const counts = [2, 3].map((layers) => {
    const model = createMamba(device, mambaConfig({ vocabulary: 16, dModel: 128, layers }), 1);
    const [token, state] = [device.integers([3], [1]), model.initialState(1)];
    const labels = dispatchesOf(device, () => {
      const next = model.step(token, state);
      carryState(state, next.state);
      return next.logits;
    });
    return labels.flatMap((label) => label.split(" + ")).filter((label) => !label.startsWith("assign"))
      .length;
  });
  assert.equal(counts[1] - counts[0], 2);
  for (const [on, dModel, dtRank, half] of [
    [narrow, 128, 8, false],
    [device, 256, 296, true],
    [device, 128, 5, false],
  ] as const) {
    const config = mambaConfig({ vocabulary: 12, dModel, dtRank, layers: 3, dState: 12 });
    const [expected, got] = await Promise.all(
      [plain, on].map(async (on) => {
        const model = createMamba(on, config, 2);
        const matrices = [...model.parameters].filter(([name]) => /(inX|inZ|xProj|dtProj|out)$/.test(name));
        for (const [, matrix] of half ? matrices : []) await matrix.store("f16");
        const decoder = new Decoder(model);
        const logits: Float32Array[] = [];
        for (const token of [3, 1, 11, 0]) logits.push((await decoder.step(token)).slice());
        const states = decoder.state.flatMap((layer) => Object.values(layer)).map((tensor) => tensor.read());
        const results = [...logits, ...((await Promise.all(states)) as Float32Array[])];
        decoder.free();
        return results;
      }),
    );
    for (const [i, values] of got.entries())
      assertNear(`result ${i} of D ${dModel}, R ${dtRank}`, values, expected[i], 5e-5);
  }
});

/** The plan of a program, which is not compiled. */
function planOf(device: Device, fn: () => unknown): Plan {
  const { backend } = device;
  const { compile } = backend;
  const plans: Plan[] = [];
  backend.compile = (plan) => {
    plans.push(plan);
    return { bytes: 0, arenaBytes: 0, run: () => {}, free: () => {} };
  };
  try {
    capture(device, fn).free();
  } finally {
    backend.compile = compile;
  }
  return plans[0];
}

/** What a language model of so many Mamba layers runs forward, and in training. */
function mambaPlans(
  device: Device,
  dModel: number,
  layers: number,
  shape: readonly [number, number],
): Plan[] {
  const model = createMamba(device, mambaConfig({ vocabulary: 16, dModel, layers }), 1);
  const tokens = device.integers(new Int32Array(shape[0] * shape[1]), shape);
  const run = () => model.forward(tokens).logits;
  const wanted = [...model.parameters.values()];
  const train = () => gradients(wanted, () => crossEntropy(run(), tokens)).gradients;
  return [planOf(device, run), planOf(device, train)];
}

test("a Mamba layer takes at most 10 dispatches forward and 30 in training, with the default limits, too", async () => {
  const plain = await openDevice({ device: "plain" });
  const most: Gpu = {
    ...leastGpu,
    storageBuffers: 16,
    workgroupBytes: 32768,
    subgroups: { least: 32, most: 32 },
  };
  for (const [dModel, batch, length] of [
    [32, 2, 16],
    [33, 3, 40],
    [64, 1, 8],
    [64, 8, 64],
    [64, 8, 256], // the scan goes in spans
    [64, 1, 4096],
    [256, 1, 256],
    [256, 1, 2048],
    [256, 8, 512],
    [768, 1, 64], // x_proj goes in parts of inner
    [768, 8, 512],
  ] as const) {
    const plans = [1, 2].map((layers) => mambaPlans(plain, dModel, layers, [batch, length]));
    for (const gpu of [leastGpu, most]) {
      const counts = plans.map((both) => both.map((plan) => trafficOf(plan, gpu).dispatches));
      const [forward, training] = counts[1].map((count, i) => count - counts[0][i]);
      const what = `D ${dModel}, ${batch} × ${length}, ${gpu.storageBuffers} buffers: ${forward} and ${training}`;
      assert.ok(forward <= 10 && training <= 30, what);
    }
  }
});

test("a Mamba model's gradients are those of the plain loops, with all limits and with the default ones", async () => {
  const plain = await openDevice({ device: "plain" });
  const least = await gpu({ defaultLimits: true, subgroups: false });
  for (const [dModel, batch, length, devices] of [
    [18, 3, 20, [least, await gpu()]],
    [48, 1, 257, [least]], // the scan goes in spans, products in slices
  ] as const) {
    const run = async (device: Device) => {
      const model = createMamba(device, mambaConfig({ vocabulary: 16, dModel, layers: 2 }), 1);
      const ids = Int32Array.from({ length: batch * length }, (_, i) => (7 * i + 3) % 16);
      const tokens = device.integers(ids, [batch, length]);
      const wanted = [...model.parameters.values()];
      const program = capture(device, () => {
        const all = gradients(wanted, () => crossEntropy(model.forward(tokens).logits, tokens));
        return [all.value, ...wanted.map((tensor) => all.gradients.get(tensor)!)]; // each has one
      });
      program.run();
      return (await Promise.all(program.result.map((tensor) => tensor.read()))) as Float32Array[];
    };
    const expected = await run(plain);
    for (const device of devices) {
      for (const [i, values] of (await run(device)).entries())
        assertNear(`${i} of D ${dModel}`, values, expected[i], 2e-5);
    }
  }
});

test("what a part of a merged kernel calls its own is not taken for a size of another part", async () => {
  const plain = await openDevice({ device: "plain" });
  const device = await gpu();
  const both = (on: Device) => {
    const source = randomParameters(on, 5);
    // The product of few rows has variables b0_0, b0_1 …; the sum has sizes b0, b1 …
    const shapes = [
      [3, 40],
      [40, 8],
      [6, 4, 5],
      [6, 1, 5],
    ];
    const [u, w, x, y] = shapes.map((shape, i) => source(`${i}`, shape, fanIn(4)));
    return () => [matmul(u, w), add(x, y)];
  };
  const labels = dispatchesOf(device, both(device));
  assert.deepEqual(labels, ["matmul forward + add forward"]);
  const [expected, got] = [plain, device].map((on) => capture(on, both(on)));
  for (const program of [expected, got]) program.run();
  for (const [i, result] of got.result.entries()) {
    const [own, others] = await Promise.all([result.read(), expected.result[i].read()]);
    assertNear(`${i}`, own as Float32Array, others as Float32Array, 1e-5);
  }
});

/** What a program gives on the plain device and on another. */
async function onBoth(device: Device, program: (on: Device) => () => Tensor[]): Promise<Float32Array[][]> {
  const results: Float32Array[][] = [];
  for (const on of [await openDevice({ device: "plain" }), device]) {
    const captured = capture(on, program(on));
    captured.run();
    results.push((await Promise.all(captured.result.map((tensor) => tensor.read()))) as Float32Array[]);
  }
  return results;
}

test("rules hold where a tensor was given another shape between two calls: it shares its buffer, not its rows", async () => {
  const device = await gpu();
  const many = await gpu({ parallelism: 2 ** 22 }); // inner in parts
  const drawn = (on: Device, shapes: readonly (readonly number[])[]) => {
    const source = randomParameters(on, 3);
    return shapes.map((shape, i) => source(`${i}`, shape, fanIn(4)));
  };
  const cases: [string, Device, (on: Device) => () => Tensor[]][] = [
    [
      "split",
      device,
      (on) => {
        const [u, w] = drawn(on, [[20, 16], [16, 12]]); // prettier-ignore
        return () => split(reshape(matmul(u, w), [40, 6]), [2, 4]).map(silu);
      },
    ],
    [
      "norm after a sum",
      many,
      (on) => {
        const [u, w, residual, gain] = drawn(on, [[20, 700], [700, 64], [20, 64], [32]]); // prettier-ignore
        return () => {
          const x = add(matmul(u, w), residual);
          return [silu(x), silu(rmsNorm(reshape(x, [40, 32]), gain, 1e-3))];
        };
      },
    ],
    [
      "product after a norm",
      device,
      (on) => {
        const [u, w, gain] = drawn(on, [[4, 8], [16, 5], [8]]); // prettier-ignore
        return () => [matmul(reshape(rmsNorm(u, gain), [2, 16]), w)];
      },
    ],
  ];
  for (const [name, on, program] of cases) {
    const [expected, got] = await onBoth(on, program);
    for (const [i, values] of got.entries()) assertNear(`${name} ${i}`, values, expected[i], 1e-4);
  }
});

test("a residual that is computed after out_proj is added after it", async () => {
  const [expected, got] = await onBoth(await gpu(), (on) => {
    const { block, gain, state, x } = mambaLayer(on, { batch: 1, dModel: 128 });
    const weight = randomParameters(on, 5)("w", [128, 16], fanIn(128));
    return () => {
      const next = block.step(rmsNorm(x, gain), state);
      carryState([state], [next.state]);
      return [matmul(rmsNorm(add(silu(x), next.y), gain), weight)];
    };
  });
  assertNear("y", got[0], expected[0], 1e-4);
});

test("the residual stream is there where out_proj is in one part", async () => {
  const logits: Float32Array[] = [];
  for (const device of [await openDevice({ device: "plain" }), await gpu()]) {
    const config = mambaConfig({ vocabulary: 12, dModel: 128, expand: 1, layers: 3 });
    const decoder = new Decoder(createMamba(device, config, 2));
    for (const token of [3, 1]) logits.push((await decoder.step(token)).slice());
    decoder.free();
  }
  for (const i of [0, 1]) assertNear(`token ${i}`, logits[2 + i], logits[i], 1e-4);
});

test("a product that goes by matrix units stays alone: their kernel has no room for a residual or parts", async () => {
  const plain = await openDevice({ device: "plain" });
  const [u, w, residual] = [
    [128, 64],
    [64, 256],
    [128, 256],
  ].map((shape) => plain.zeros(shape));
  await w.store("f16");
  const units: Gpu = { ...leastGpu, subgroups: { least: 32, most: 32 }, f16: true, matrices: true };
  const plans = [() => add(matmul(u, w), residual), () => split(matmul(u, w), [128, 128])].map((run) =>
    planOf(plain, run),
  );
  const dispatches = (gpu: Gpu) => plans.map((plan) => trafficOf(plan, gpu).dispatches);
  assert.deepEqual(dispatches({ ...units, matrices: false }), [1, 1]);
  assert.deepEqual(dispatches(units), [2, 2]);
});

test("a product whose columns are split is right at any size", async () => {
  const plain = await openDevice({ device: "plain" });
  const least = await gpu({ defaultLimits: true, subgroups: false });
  const many = await gpu({ parallelism: 2 ** 22 }); // inner in parts
  for (const [shape, inner, widths] of [
    [[33], 700, [8, 16, 12]], // whole vectors
    [[2, 40], 130, [2, 17, 17]], // whole vectors together only
    [[9], 300, [1, 2, 3, 4, 5, 6]],
    [[130], 65, [64, 3]],
  ] as const) {
    const run = async (device: Device) => {
      const source = randomParameters(device, 3);
      const u = source("u", [...shape, inner], fanIn(4));
      const w = source("w", [inner, widths.reduce((a, b) => a + b, 0)], fanIn(inner));
      const program = capture(device, () => split(matmul(u, w), widths));
      program.run();
      return (await Promise.all(program.result.map((tensor) => tensor.read()))) as Float32Array[];
    };
    const expected = await run(plain);
    for (const device of [least, many]) {
      for (const [i, values] of (await run(device)).entries())
        assertNear(`${i} of ${inner} to ${widths.join(", ")}`, values, expected[i], 2e-5);
    }
  }
  const [u, w] = [
    [9, 4],
    [4, 5],
  ].map((shape) => least.zeros(shape));
  assert.deepEqual(
    dispatchesOf(least, () => split(matmul(u, w), [2, 3])),
    ["matmulSplit forward"],
  );
});

test("products with a residual or after a norm are right at any size, by f32 and by f16 weights", async () => {
  const plain = await openDevice({ device: "plain" });
  const device = await gpu();
  for (const [rows, inner, columns] of [
    [1, 5000, 37],
    [8, 700, 64],
    [5, 1, 1],
    [2, 2049, 130],
    [70, 130, 65],
    [33, 700, 64],
  ]) {
    const run = async (on: Device, half: boolean) => {
      const source = randomParameters(on, 3);
      const [u, w, r] = [
        [rows, inner],
        [inner, columns],
        [rows, columns],
      ].map((shape, i) => source(`t${i}`, shape, fanIn(4)));
      const gain = source("gain", [inner], fanIn(1));
      if (half) await w.store("f16");
      const program = capture(on, () => [add(matmul(u, w), r), matmul(rmsNorm(u, gain), w)]);
      program.run();
      return (await Promise.all(program.result.map((tensor) => tensor.read()))) as Float32Array[];
    };
    for (const half of [false, true]) {
      const [expected, got] = [await run(plain, half), await run(device, half)];
      for (const i of [0, 1]) assertNear(`${rows} × ${inner} × ${columns}, ${i}`, got[i], expected[i], 1e-4);
    }
  }
});

test("a sum that is normalized and kept is right at any size, by f32 and by f16 weights", async () => {
  const plain = await openDevice({ device: "plain" });
  const many = await gpu({ parallelism: 2 ** 22, defaultLimits: true, subgroups: false }); // inner in parts
  for (const [rows, inner, dModel, half] of [
    [20, 700, 64, false],
    [9, 1100, 33, false],
    [70, 2000, 132, true],
    [33, 64, 40, false], // in one part
  ] as const) {
    const run = async (device: Device) => {
      const source = randomParameters(device, 3);
      const [u, w, r] = [
        [rows, inner],
        [inner, dModel],
        [rows, dModel],
      ].map((shape, i) => source(`t${i}`, shape, fanIn(4)));
      const gain = source("gain", [dModel], fanIn(1));
      if (half) await w.store("f16");
      const normalized = () => {
        const x = add(matmul(u, w), r);
        return [silu(x), silu(rmsNorm(x, gain, 1e-3))];
      };
      if (device === many) {
        const labels = dispatchesOf(device, normalized).join(", ");
        assert.equal(labels.includes("matmulNorm forward 2"), inner > 64, labels);
      }
      const program = capture(device, normalized);
      program.run();
      return (await Promise.all(program.result.map((tensor) => tensor.read()))) as Float32Array[];
    };
    const [expected, got] = [await run(plain), await run(many)];
    for (const [i, values] of got.entries())
      assertNear(`${i} of ${rows} × ${inner} × ${dModel}`, values, expected[i], 1e-4);
  }
});

test("what somebody else reads is computed on its own", async () => {
  const device = await gpu();
  const u = device.tensor([1, 2, 3, 4]);
  assert.deepEqual(
    dispatchesOf(device, () => neg(exp(u))),
    ["chain forward"],
  );
  assert.deepEqual(
    dispatchesOf(device, () => {
      const e = exp(u);
      return [neg(e), silu(e)];
    }),
    ["exp forward", "neg forward + silu forward"],
  );
  // A backward call reads what its kernel binds of all that it is given: not the terms of a sum.
  const [a, b, r] = [device.zeros([20, 5]), device.zeros([5, 20]), device.zeros([20, 20])];
  const trained = dispatchesOf(device, () => {
    return gradients([a, r], () => silu(add(matmul(a, b), r))).gradients;
  });
  assert.ok(trained.includes("matmulAdd forward"), trained.join(", "));
  const program = capture(device, () => neg(exp(silu(u))));
  program.run();
  const expected = [1, 2, 3, 4].map((x) => -Math.exp(x / (1 + Math.exp(-x))));
  assertNear("−exp(silu(u))", await program.result.read(), Float64Array.from(expected), 1e-6);
});

test("dispatches that need nothing of each other are one, and compute what they compute alone", async () => {
  const [merging, alone] = [await gpu(), await gpu({ fuse: false })];
  const several = (device: Device) => {
    const source = randomParameters(device, 5);
    const [a, b] = ["a", "b"].map((name) => source(name, [3, 70], fanIn(1)));
    const gain = source("gain", [70], fanIn(1));
    return () => {
      const [x, y] = [rmsNorm(a, gain), rmsNorm(b, gain)];
      return [silu(x), exp(y), add(x, y)];
    };
  };
  assert.deepEqual(dispatchesOf(merging, several(merging)), [
    "rmsNorm forward + rmsNorm forward",
    "silu forward + exp forward + add forward",
  ]);
  assert.equal(dispatchesOf(alone, several(alone)).length, 5);
  const results = await Promise.all(
    [merging, alone].map((device) => {
      const program = capture(device, several(device));
      program.run();
      return Promise.all(program.result.map((tensor) => tensor.read()));
    }),
  );
  assert.deepEqual(results[0], results[1]);
});

test("parts that are alike share workgroup memory, and single invocations go in workgroups of any size", async () => {
  const devices = [
    await gpu({ defaultLimits: true, subgroups: false }),
    await openDevice({ device: "plain" }),
  ];
  const given = (device: Device) => {
    const source = randomParameters(device, 5);
    const shapes = { a: [40, 300], b: [300, 36], c: [35, 300], p: [20, 64], q: [64, 64], v: [3001] };
    return Object.entries(shapes).map(([name, shape]) => source(name, shape, fanIn(4)));
  };
  // A product in four slices takes all of the 16 KiB.
  const sliced = ([a, b, c, , , v]: Tensor[]) => [matmul(a, b), matmul(c, b), silu(v)];
  // Workgroups of 64, and what has 256 elsewhere.
  const narrow = ([, , , p, q, v]: Tensor[]) => [matmul(p, q), silu(v)];
  for (const [program, label] of [
    [sliced, "matmul forward + matmul forward + silu forward"],
    [narrow, "matmul forward + silu forward"],
  ] as const) {
    const results = devices.map(async (device) => {
      const tensors = given(device);
      if (device === devices[0])
        assert.deepEqual(
          dispatchesOf(device, () => program(tensors)),
          [label],
        );
      const captured = capture(device, () => program(tensors));
      captured.run();
      return (await Promise.all(captured.result.map((tensor) => tensor.read()))) as Float32Array[];
    });
    const [got, expected] = await Promise.all(results);
    for (const [i, values] of got.entries()) assertNear(`${label}, ${i}`, values, expected[i], 1e-5);
  }
});

test("what a dispatch may hold in workgroup memory is read off its code", () => {
  const code = `
var<workgroup> a: array<f32, 64>; var<workgroup> b: array<array<vec4f, 17>, 16u>;
var<workgroup> c: atomic<u32>; var<workgroup> d: vec3<f32>;`;
  assert.equal(workgroupBytes(code), 256 + 16 * 17 * 16 + 4 + 16);
  assert.equal(workgroupBytes("var<workgroup> a: array<f32, dModel>;"), Infinity);
  assert.equal(workgroupBytes("fn run() {}"), 0);
});
