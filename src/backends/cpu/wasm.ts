import { DeviceError } from "../../tensor/errors.ts";
import { expectSameList } from "./kernels/list.ts";
import type { Kernels } from "./pool.ts";

/** The builds of the kernels, best first. A file's name is its build's. */
export const wasmBuilds = ["relaxed", "simd", "single"] as const;
export type WasmBuild = (typeof wasmBuilds)[number];

interface Exports {
  readonly kernelListHash: () => number;
  readonly runProgram: (
    base: number,
    program: number,
    entries: number,
    control: number,
    thread: number,
    threads: number,
  ) => void;
  readonly __stack_pointer: WebAssembly.Global;
  readonly __heap_base: WebAssembly.Global;
}

/**
 * The best build that this engine accepts: fused multiply-add (relaxed SIMD) if it validates, plain SIMD128
 * otherwise; without shared memory the build of one thread. `load` gets the bytes of a build.
 */
export async function compileWasm(
  load: (build: WasmBuild) => Promise<Uint8Array<ArrayBuffer>>,
  shared: boolean,
): Promise<{ build: WasmBuild; module: WebAssembly.Module }> {
  for (const build of shared ? (["relaxed", "simd"] as const) : (["single"] as const)) {
    const bytes = await load(build);
    if (WebAssembly.validate(bytes)) return { build, module: await WebAssembly.compile(bytes) };
  }
  throw new DeviceError("wasm: this engine has no SIMD. Use the plain device, or Node 20 or later.");
}

/** Memory that the kernels import: it starts small and grows to 4 GiB. */
export function wasmMemory(shared: boolean): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 64, maximum: 65536, shared });
}

/** The kernels of one thread. `stackTop` gives a worker a C stack of its own. */
export function instantiateWasm(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  stackTop?: number,
): Kernels & { heapBase: number } {
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;
  expectSameList("wasm", exports.kernelListHash() >>> 0);
  if (stackTop !== undefined) exports.__stack_pointer.value = stackTop;
  return {
    lanes: 4,
    heapBase: Number(exports.__heap_base.value),
    run(program, entries, control, thread, threads) {
      exports.runProgram(0, program, entries, control, thread, threads);
    },
  };
}
