import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { CpuBackend } from "../../../src/backends/cpu/backend.ts";
import { SharedHeap } from "../../../src/backends/cpu/memory.ts";
import { Pool, type StartWorker, words } from "../../../src/backends/cpu/pool.ts";
import { compileWasm, instantiateWasm, type WasmBuild, wasmMemory } from "../../../src/backends/cpu/wasm.ts";
import { inductionHeads } from "../../../src/data/inductionHeads.ts";
import { createMamba, mambaConfig } from "../../../src/models/mamba.ts";
import { assign } from "../../../src/ops/assign.ts";
import { Device } from "../../../src/tensor/device.ts";
import { Trainer } from "../../../src/train/trainer.ts";

const folder = new URL("../../../src/backends/cpu/", import.meta.url);

async function readBuild(build: WasmBuild): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await readFile(new URL(`kernels.${build}.wasm`, folder)));
}

/** A device of one thread: the build without threads on memory of its own, or the plain SIMD one on shared memory. */
async function openOne(shared: boolean): Promise<{ device: Device; memory: WebAssembly.Memory }> {
  const memory = wasmMemory(shared);
  const { module } = await compileWasm((build) => readBuild(build === "relaxed" ? "simd" : build), shared);
  const kernels = instantiateWasm(module, memory);
  const heap = new SharedHeap(memory, kernels.heapBase);
  const pool = new Pool(kernels, { kind: "wasm", module, memory }, heap, 1, null, true);
  await pool.ready();
  return { device: new Device(new CpuBackend("wasm", heap, pool, kernels.lanes)), memory };
}

const alone = await openOne(false);
const sharing = await openOne(true);
after(() => Promise.all([alone.device.dispose(), sharing.device.dispose()]));

test("the build without threads, on memory that moves as it grows, trains to the bits of the shared one", async () => {
  const before = alone.memory.buffer;
  const runs = [alone, sharing].map(async ({ device }) => {
    const model = createMamba(device, mambaConfig({ vocabulary: 8, dModel: 24, layers: 2 }), 1);
    const trainer = new Trainer(model, { weightDecay: 0.1 });
    const task = inductionHeads({ seed: 1, vocabulary: 8 });
    const losses: number[] = [];
    for (let step = 0; step < 4; step++) {
      losses.push((await trainer.step([task.train(step, 16, 65)], 4e-3)).loss);
    }
    const numbers = await Promise.all([...model.parameters.values()].map((tensor) => tensor.read()));
    return { losses, numbers };
  });
  const [one, other] = await Promise.all(runs);
  assert.deepEqual(one, other);
  assert.equal(new Set(one.losses).size, 4);
  assert.equal(before.byteLength, 0, "the memory moved");
});

test("a disposed device is refused also after its memory moved", async () => {
  const { device } = await openOne(false);
  const [u, v] = [device.zeros([10_000_000]), device.zeros([10_000_000])];
  await device.dispose();
  assert.throws(() => assign(u, v), {
    name: "DeviceError",
    message: "cpu: the device was disposed and then used",
  });
});

test("a build that is not there is a DeviceError that says how to get it", async () => {
  const missing = () => Promise.reject(new Error("no such file"));
  await assert.rejects(compileWasm(missing, true), {
    name: "DeviceError",
    message:
      "wasm: kernels.relaxed.wasm could not be loaded (no such file). " +
      "In a clone, `npm run build` makes it; a web server must serve the .wasm files of the package.",
  });
});

test("a page served in place of a build is not taken for an engine without SIMD", async () => {
  const page = new TextEncoder().encode("<!doctype html>");
  await assert.rejects(
    compileWasm(() => Promise.resolve(page), false),
    {
      name: "DeviceError",
      message:
        "wasm: kernels.single.wasm must be WebAssembly, got 15 bytes of something else " +
        "(servers like to answer with a page). " +
        "In a clone, `npm run build` makes it; a web server must serve the .wasm files of the package.",
    },
  );
});

/** A team of three whose workers are `start`. */
async function team(start: StartWorker): Promise<Pool> {
  const memory = wasmMemory(true);
  const { module } = await compileWasm(readBuild, true);
  const kernels = instantiateWasm(module, memory);
  const heap = new SharedHeap(memory, kernels.heapBase);
  return new Pool(kernels, { kind: "wasm", module, memory }, heap, 3, start, true);
}

test("a worker that cannot start is reported at once, and the others are stopped", async () => {
  const cause = new Error("no such worker");
  let terminated = 0;
  const pool = await team((_start, failed) => {
    queueMicrotask(() => failed(cause));
    return { terminate: () => terminated++ };
  });
  await assert.rejects(pool.ready(), {
    name: "DeviceError",
    message: "cpu: a worker thread did not start. Try threads: 1.",
    cause,
  });
  assert.equal(terminated, 2);
});

test("a team that lost a worker is refused instead of waiting for it", async () => {
  let fail = (_cause: unknown) => {};
  const pool = await team(({ source, control }, failed) => {
    fail = failed;
    Atomics.add(new Int32Array(source.memory.buffer, control), words.ready, 1);
    return { terminate() {} };
  });
  await pool.ready();
  fail(new Error("unreachable"));
  assert.throws(() => pool.run(0, 0, true), {
    name: "DeviceError",
    message: "cpu: a worker thread broke, and this device with it. Open another.",
  });
});
