import { serve, type WorkerStart } from "./pool.ts";
import { instantiateWasm } from "./wasm.ts";

/** A worker thread of the pool, in a browser. */
globalThis.addEventListener("message", ({ data }: MessageEvent<WorkerStart>) => {
  const { source, stackTop } = data;
  if (source.kind !== "wasm") throw new Error("internal: a browser has no native kernels");
  serve(data, instantiateWasm(source.module, source.memory, stackTop));
});
