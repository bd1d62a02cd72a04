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
 * otherwise; without shared memory the build of one thread. `load` gets the bytes of a build. Throws a DeviceError
 * where they cannot be had or the engine has no SIMD.
 */
export async function compileWasm(
  load: (build: WasmBuild) => Promise<Uint8Array<ArrayBuffer>>,
  shared: boolean,
): Promise<{ build: WasmBuild; module: WebAssembly.Module }> {
  for (const build of shared ? (["relaxed", "simd"] as const) : (["single"] as const)) {
    const bytes = await loadBuild(load, build);
    if (WebAssembly.validate(bytes)) return { build, module: await WebAssembly.compile(bytes) };
  }
  throw new DeviceError("wasm: this engine has no SIMD. Use the plain device, or Node 20 or later.");
}

async function loadBuild(
  load: (build: WasmBuild) => Promise<Uint8Array<ArrayBuffer>>,
  build: WasmBuild,
): Promise<Uint8Array<ArrayBuffer>> {
  const remedy =
    "In a clone, `npm run build` makes it; a web server must serve the .wasm files of the package.";
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await load(build);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DeviceError(`wasm: kernels.${build}.wasm could not be loaded (${reason}). ${remedy}`, {
      cause,
    });
  }
  const isWasm = new TextDecoder().decode(bytes.subarray(0, 4)) === "\0asm";
  if (isWasm) return bytes;
  throw new DeviceError(
    `wasm: kernels.${build}.wasm must be WebAssembly, got ${bytes.length} bytes of something else ` +
      `(servers like to answer with a page). ${remedy}`,
  );
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
