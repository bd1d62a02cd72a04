import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { GpuOptions } from "../../../src/backends/webgpu/gpu.ts";
import { leastGpu } from "../../../src/backends/webgpu/gpu.ts";
import type { Gpu } from "../../../src/backends/webgpu/kernel.ts";
import { type Dispatch, stepOf } from "../../../src/backends/webgpu/step.ts";
import { openDevice } from "../../../src/node.ts";
import { selectiveScan, selectiveScanOp } from "../../../src/ops/selectiveScan.ts";
import type { Device } from "../../../src/tensor/device.ts";
import { elementsOf, type Shape } from "../../../src/tensor/shape.ts";
import { assertNear, compareCalls, evaluate, type Input, normals } from "../../compareCalls.ts";
import { shapesOf, type Sizes } from "../../scanShapes.ts";

/** float32 against float64 over at most 300 steps, relative to the largest number of a tensor. */
const tolerance = 2e-5;

const opened: Device[] = [];
after(() => Promise.all(opened.map((device) => device.dispose())));

async function open(gpu: GpuOptions): Promise<Device> {
  const device = await openDevice({ device: "webgpu", gpu });
  opened.push(device);
  return device;
}

/** All ten inputs of the op, or those of them that `kept` says: A < 0, a reset now and then, everything else normal. */
function inputsOf(sizes: Sizes, kept: (input: number) => boolean = () => true): (Input | null)[] {
  return shapesOf(sizes).map((shape, k) => {
    if (!kept(k)) return null;
    const { values } = normals(k + 1, ...shape);
    if (k === 2) return { shape, values: Float32Array.from(values, (x) => -Math.exp(x)) };
    if (k === 9) return { shape, values: Int32Array.from(values, (x) => +(x > 1.8)), integer: true };
    return { shape, values };
  });
}

const least: GpuOptions = { defaultLimits: true, subgroups: false };

for (const [what, options, sizes, kept] of [
  ["one pass", { scan: "onePass", ...least }, [2, 37, 36, 16, 1], [5, 6, 7, 8, 9]],
  ["spans", { scan: "spans" }, [2, 77, 36, 16, 1], [5, 6, 7, 8, 9]],
  ["spans, with the default limits", { scan: "spans", ...least }, [1, 50, 69, 7, 3], [6, 9]],
  ["spans of many states", { scan: "spans", ...least }, [1, 40, 12, 65, 1], [5, 7, 8]],
] as const) {
  test(`${what}: outputs and gradients are those of the plain loops`, async () => {
    const [batch, length, dInner, dState, groups] = sizes;
    const inputs = inputsOf(
      { batch, length, dInner, dState, groups },
      (k) => k < 5 || (kept as readonly number[]).includes(k),
    );
    await compareCalls(await open(options), selectiveScanOp, inputs, { softplus: true }, tolerance);
  });
}

/** y and the last state of a scan without a tape. */
async function scan(device: Device, inputs: readonly (Input | null)[]): Promise<Float32Array[]> {
  const place = (input: Input | null) =>
    input ? device.tensor(input.values, input.shape, input.integer ? "i32" : undefined) : undefined;
  const [u, delta, A, B, C, D, z, deltaBias, state, resets] = inputs.map(place);
  const options = { D, z, deltaBias, state, resets, softplus: true };
  const out = selectiveScan(u!, delta!, A!, B!, C!, options); // the five are never left out
  return [(await out.y.read()) as Float32Array, (await out.state.read()) as Float32Array];
}

test("a channel's states are shared by fewer invocations where channels alone fill the GPU, with the same result", async () => {
  const [few, many] = [await open({ parallelism: 32 }), await open({ parallelism: 1e6, scan: "onePass" })];
  for (const [dState, groups] of [
    [16, 1],
    [18, 2],
    [70, 1],
  ]) {
    const inputs = inputsOf({ batch: 2, length: 21, dInner: 38, dState, groups });
    const [expected, got] = [await scan(many, inputs), await scan(few, inputs)];
    for (const [i, values] of got.entries()) assertNear(`dState ${dState}`, values, expected[i], 1e-6);
  }
});

test("a long sequence of few channels goes in spans unless told otherwise: near to one pass, and the same bits each time", async () => {
  const inputs = inputsOf({ batch: 1, length: 300, dInner: 20, dState: 4, groups: 1 });
  const [own, whole] = [await open({}), await open({ scan: "onePass" })];
  const first = await evaluate(own, selectiveScanOp, inputs, { softplus: true });
  const second = await evaluate(own, selectiveScanOp, inputs, { softplus: true });
  const expected = await evaluate(whole, selectiveScanOp, inputs, { softplus: true });
  for (const [name, values] of first) {
    assert.deepEqual(second.get(name), values, name);
    assertNear(name, values, expected.get(name)!, tolerance); // named as the op names them
  }
  assert.notDeepEqual(first.get("y"), expected.get("y"), "both went in one pass");
});

test("nothing infinite crosses a reset from span to span", async () => {
  const sizes = { batch: 1, length: 70, dInner: 9, dState: 6, groups: 1 };
  const sound = inputsOf(sizes, (k) => k < 8);
  const resets = {
    shape: [1, 70],
    values: Int32Array.from({ length: 70 }, (_, t) => +(t === 37)),
    integer: true,
  };
  const u = Float32Array.from(sound[0]!.values).fill(Infinity, 0, 9 * 20); // never left out
  const device = await open({ scan: "spans" });
  const expected = await scan(device, [...sound.slice(0, 9), resets]);
  const got = await scan(device, [{ ...sound[0]!, values: u }, ...sound.slice(1, 9), resets]);
  assert.deepEqual(got[0].slice(9 * 37), expected[0].slice(9 * 37));
  assert.deepEqual(got[1], expected[1]);
  assert.ok(got[0].slice(0, 9 * 37).every((y) => !Number.isFinite(y)));
});

/** What a call of Mamba's block dispatches: all inputs but resets and, under a tape, the state. */
function dispatches(
  pass: "forward" | "backward",
  gpu: Gpu,
  sizes: Sizes,
  taped: boolean,
): readonly Dispatch[] {
  const shapes = shapesOf(sizes).map((shape, k) => (k === 9 || (k === 8 && taped) ? null : shape));
  const { outputs, sizes: named } = selectiveScanOp.shapes(shapes, { softplus: true });
  const buffer = (shape: Shape | null) => shape && { dtype: "f32" as const, length: elementsOf(shape) };
  const back = pass === "backward";
  return stepOf(
    {
      op: selectiveScanOp,
      pass,
      sizes: named,
      inputs: shapes.map(buffer),
      outputs: outputs.map((shape, i) => (i < 2 || taped ? buffer(shape) : null)),
      outputGrads: back ? [buffer(outputs[0]), null, null] : [],
      inputGrads: back ? shapes.map(buffer) : [],
      accumulate: back ? shapes.map(() => false) : [],
    },
    gpu,
  ).dispatches;
}

const wide: Gpu = { ...leastGpu, storageBuffers: 16, workgroupBytes: 32768 };
const training = { batch: 8, length: 1024, dInner: 1536, dState: 16, groups: 1 };
const long = { ...training, batch: 1, length: 16384 };
const step = { ...training, length: 1 };
const bytes = (all: readonly Dispatch[]) => all.reduce((sum, dispatch) => sum + dispatch.bytes, 0);

test("dispatches: one forward, three in spans; two backward, four in spans; more where a pass binds 8 buffers", () => {
  const counts = (pass: "forward" | "backward", gpu: Gpu) =>
    [training, long].map((sizes) => dispatches(pass, gpu, sizes, true).length);
  assert.deepEqual(counts("forward", wide), [1, 3]);
  assert.deepEqual(counts("forward", leastGpu), [2, 4]);
  assert.deepEqual(counts("backward", wide), [2, 4]);
  assert.deepEqual(counts("backward", leastGpu), [3, 5]);
  assert.equal(dispatches("forward", wide, step, false).length, 1);
  assert.equal(dispatches("forward", leastGpu, step, false).length, 2);
});

test("forward moves at most 1.3 times the bytes that it must, in spans 1.5 times; backward 2.5 times", () => {
  const states = training.dState / 16; // kept states, floats for each step and channel
  for (const [sizes, most] of [
    [training, 1.3],
    [long, 1.5],
  ] as const) {
    const cells = 4 * sizes.batch * sizes.length * sizes.dInner;
    for (const gpu of [wide, leastGpu]) {
      const forward = bytes(dispatches("forward", gpu, sizes, true)) / (cells * (4 + states));
      const backward = bytes(dispatches("backward", gpu, sizes, true)) / (cells * (7 + states));
      assert.ok(forward <= most, `forward: ${forward}`);
      assert.ok(backward <= 2.5, `backward: ${backward}`);
    }
  }
});

test("up to 1 024 states, what a workgroup shares fits into its memory", () => {
  const bytesOf: Record<string, number> = { f32: 4, u32: 4, vec2f: 8, vec4f: 16 };
  const shared = /var<workgroup> \w+: array<(\w+), (\d+)>/g;
  for (const workgroupBytes of [16384, 32768, 49152]) {
    for (const subgroups of [null, { least: 4, most: 128 }]) {
      for (const dState of [1, 7, 16, 32, 33, 256, 1024]) {
        for (const dInner of [1, 70]) {
          const gpu = { ...leastGpu, workgroupBytes, subgroups };
          const sizes = { batch: 1, length: 40, dInner, dState, groups: 1 };
          for (const pass of ["forward", "backward"] as const) {
            for (const { label, module } of dispatches(pass, gpu, sizes, true)) {
              const parts = [...module.code.matchAll(shared)].map(([, type, n]) => bytesOf[type] * Number(n));
              const all = parts.reduce((sum, part) => sum + part, 0);
              assert.ok(all <= workgroupBytes, `${label}, ${dState} states: ${all} of ${workgroupBytes}`);
            }
          }
        }
      }
    }
  }
});
