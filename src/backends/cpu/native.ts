import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { DeviceError } from "../../tensor/errors.ts";
import { expectSameList } from "./kernels/list.ts";
import type { Kernels } from "./pool.ts";

interface Addon {
  kernelListHash(): number;
  /** Where the memory lies. */
  address(memory: Uint8Array): number;
  /** The widest vector of at most `most` floats that this processor has kernels for; 0 for none. */
  lanes(most: number): number;
  run(
    address: number,
    lanes: number,
    program: number,
    entries: number,
    control: number,
    thread: number,
    threads: number,
  ): void;
}

/** Where the build puts the addon of this platform. */
export function addonPath(): string {
  return fileURLToPath(new URL(`./kernels.${process.platform}-${process.arch}.node`, import.meta.url));
}

/** The native kernels on `memory`. Throws a DeviceError that says why there are none. */
export function loadNative(path: string, memory: WebAssembly.Memory, most = 16): Kernels {
  let addon: Addon;
  try {
    addon = createRequire(import.meta.url)(path) as Addon;
  } catch (cause) {
    throw new DeviceError(
      `native: no addon for ${process.platform}-${process.arch}. ` +
        "In a clone, `npm run build` makes it if there is a C compiler; else use the wasm device.",
      { cause },
    );
  }
  expectSameList("native", addon.kernelListHash());
  const lanes = addon.lanes(most);
  if (lanes === 0)
    throw new DeviceError("native: this processor has neither AVX-512 nor AVX2. Use the wasm device.");
  const address = addon.address(new Uint8Array(memory.buffer));
  return {
    lanes,
    run(program, entries, control, thread, threads) {
      addon.run(address, lanes, program, entries, control, thread, threads);
    },
  };
}
