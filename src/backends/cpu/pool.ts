import { DeviceError } from "../../tensor/errors.ts";
import type { SharedHeap } from "./memory.ts";

/** The compiled kernels as one thread sees them, wasm or native. */
export interface Kernels {
  /** Floats in a vector. */
  readonly lanes: number;
  /** Walks the program as thread `thread` of `threads`; returns when all are done. See kernels/program.c. */
  run(program: number, entries: number, control: number, thread: number, threads: number): void;
}

/** What a worker needs to get its own `Kernels` on the shared memory. */
export type KernelSource =
  | { readonly kind: "wasm"; readonly module: WebAssembly.Module; readonly memory: WebAssembly.Memory }
  | {
      readonly kind: "native";
      readonly path: string;
      readonly lanes: number;
      readonly memory: WebAssembly.Memory;
    };

export interface WorkerStart {
  readonly source: KernelSource;
  readonly control: number;
  /** Top of this worker's own C stack (wasm only). */
  readonly stackTop: number;
}

/**
 * Words of the control block, before those that program.c uses. `turn` says that a new program is there and how many
 * threads run it, in one word, so that no worker can take the one without the other.
 */
export const words = { turn: 0, program: 1, entries: 2, stop: 3, ready: 4, mayBlock: 8 };
export const controlBytes = 64;
const threadsMask = 0x1ff; // of a turn: up to 256 threads
const stackBytes = 65536;

/** How a platform starts a worker thread. It calls `failed` when the worker cannot start or breaks. */
export type StartWorker = (start: WorkerStart, failed: (cause: unknown) => void) => { terminate(): unknown };

/**
 * A team of threads, the caller being thread 0. The others join it as they have started, and sleep in `Atomics.wait`
 * between programs; inside one they meet at barriers in C.
 */
export class Pool {
  readonly threads: number;
  readonly #kernels: Kernels;
  readonly #controlAt: number;
  readonly #control: Int32Array;
  readonly #workers: readonly { terminate(): unknown }[];
  #failure: { readonly cause: unknown } | null = null;
  #turns = 0;
  /** Kept here too: memory that is not shared moves when it grows, and `#control` then is empty. */
  #stopped = false;

  constructor(
    kernels: Kernels,
    source: KernelSource,
    heap: SharedHeap,
    threads: number,
    startWorker: StartWorker | null,
    mayBlock: boolean,
  ) {
    this.threads = threads;
    this.#kernels = kernels;
    this.#controlAt = heap.allocate(controlBytes);
    this.#control = new Int32Array(heap.memory.buffer, this.#controlAt, controlBytes / 4);
    this.#control.fill(0);
    this.#control[words.mayBlock] = mayBlock ? 1 : 0;
    if (threads > 1 && startWorker === null) {
      throw new DeviceError(
        `cpu: ${threads} threads need worker threads, and there are none. Use threads: 1.`,
      );
    }
    this.#workers = Array.from({ length: threads - 1 }, () => {
      const stackTop = heap.allocate(stackBytes) + stackBytes;
      const start = { source, control: this.#controlAt, stackTop };
      return startWorker!(start, (cause) => (this.#failure ??= { cause })); // checked above
    });
  }

  /** Resolves when every worker has loaded its kernels; stops all and rejects when one cannot within ten seconds. */
  async ready(): Promise<void> {
    const started = performance.now();
    while (Atomics.load(this.#control, words.ready) < this.threads - 1) {
      const late = performance.now() - started > 10_000;
      if (late || this.#failure) {
        await this.stop();
        throw new DeviceError(
          `cpu: a worker thread did not start${late ? " within 10 seconds" : ""}. Try threads: 1.`,
          this.#failure ?? {},
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  run(program: number, entries: number, parallel: boolean): void {
    if (this.#stopped) throw new DeviceError("cpu: the device was disposed and then used");
    if (this.#failure) {
      throw new DeviceError(
        "cpu: a worker thread broke, and this device with it. Open another.",
        this.#failure,
      );
    }
    const present = parallel && this.threads > 1 ? 1 + Atomics.load(this.#control, words.ready) : 1;
    if (present > 1) {
      this.#control[words.program] = program;
      this.#control[words.entries] = entries;
      this.#next(present);
    }
    this.#kernels.run(program, entries, this.#controlAt, 0, present);
  }

  /** Wakes all workers for another turn, of which the first `threads - 1` to have started take part. */
  #next(threads: number): void {
    this.#turns++;
    Atomics.store(this.#control, words.turn, this.#turns * (threadsMask + 1) + threads); // wraps: only its change counts
    Atomics.notify(this.#control, words.turn);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.threads === 1) return;
    this.#control[words.stop] = 1;
    this.#next(this.threads);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** Polls before a waiting worker goes to sleep: back-to-back programs find it awake. */
const polls = 3000;

/** The life of a worker: run each program that appears and counts on it, until told to stop. */
export function serve({ source, control: controlAt }: WorkerStart, kernels: Kernels): void {
  const control = new Int32Array(source.memory.buffer, controlAt, controlBytes / 4);
  let seen = Atomics.load(control, words.turn);
  const thread = 1 + Atomics.add(control, words.ready, 1);
  for (;;) {
    for (let i = 0; Atomics.load(control, words.turn) === seen; i++) {
      if (i > polls) Atomics.wait(control, words.turn, seen);
    }
    seen = Atomics.load(control, words.turn);
    if (control[words.stop]) return;
    const threads = seen & threadsMask;
    if (thread >= threads) continue; // it began before this worker was there
    kernels.run(control[words.program], control[words.entries], controlAt, thread, threads);
  }
}
