import { parentPort, workerData } from "node:worker_threads";
import { loadNative } from "./native.ts";
import { serve, type WorkerStart } from "./pool.ts";
import { instantiateWasm } from "./wasm.ts";

/** A worker thread of the pool, in Node. */
const start = workerData as WorkerStart;
const { source } = start;
const kernels =
  source.kind === "wasm"
    ? instantiateWasm(source.module, source.memory, start.stackTop)
    : loadNative(source.path, source.memory, source.lanes);
serve(start, kernels);
parentPort?.close();
