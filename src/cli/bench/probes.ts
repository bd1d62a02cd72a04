import { apply, capture, defineOp, type Device, ShapeError, type Tensor } from "../../node.ts";
import { type Case, replays } from "./cases.ts";

export interface ReadOptions {
  /** How many numbers to read, from the first. */
  readonly size: number;
  readonly sliceLength: number;
  /** Parts of a slice that are read side by side: which number is faster depends on the machine. */
  readonly streams: 1 | 4;
  readonly repeats: number;
}

/**
 * Reads memory and does next to nothing with it, to time the reading.
 *   y[s] = u[s n] ⊕ u[s n + 1] ⊕ … over slice s of n = sliceLength, `repeats` times
 *   u (size or longer) i32      y (⌈size / sliceLength⌉) i32      ⊕: exclusive or
 */
const readProbeOp = defineOp<ReadOptions>({
  name: "readProbe",
  inputs: ["u"],
  outputs: ["y"],
  integers: ["u"],
  shapes([u], options) {
    const { size, sliceLength } = options;
    const [length] = u!; // u is not optional
    if (size > length) throw new ShapeError(`readProbe: size must be at most ${length}, got ${size}`);
    const slices = Math.ceil(size / sliceLength);
    return { sizes: { ...options, slices }, outputs: [[slices]], dtypes: ["i32"] };
  },
  forward([u], [y], { size, sliceLength, repeats }) {
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (let i = 0; i < size; i++) y[Math.floor(i / sliceLength)] ^= u![i]; // u is not optional
    }
  },
});

export function readProbe(u: Tensor, options: ReadOptions): Tensor {
  return apply(readProbeOp, [u], options)[0];
}

/** Copies u to y, to time that. The CPU devices have no kernel for it: reading is their limit. */
const copyProbeOp = defineOp<null>({
  name: "copyProbe",
  inputs: ["u"],
  outputs: ["y"],
  shapes: ([u]) => ({ sizes: {}, outputs: [u!] }), // u is not optional
  forward([u], [y]) {
    y.set(u!); // as above
  },
});

export function copyProbe(u: Tensor): Tensor {
  return apply(copyProbeOp, [u], null)[0];
}

/** Floats that one task of the kernel keeps in registers: ten vectors of the widest kind. */
export const chainFloats = 160;

/**
 * Multiplies and adds as fast as the machine can, to time that.
 *   y = f(f(…f(u)))      f(x) = 0.75 x + 0.5, `repeats` times      u, y (size), a multiple of 160
 */
const fmaProbeOp = defineOp<{ repeats: number }>({
  name: "fmaProbe",
  inputs: ["u"],
  outputs: ["y"],
  shapes([u], { repeats }) {
    const [size] = u!; // u is not optional
    if (size % chainFloats !== 0) {
      throw new ShapeError(`fmaProbe: the length of u must be a multiple of ${chainFloats}, got ${size}`);
    }
    return { sizes: { size, repeats }, outputs: [[size]] };
  },
  forward([u], [y], { size, repeats }) {
    for (let i = 0; i < size; i++) {
      let x = u![i]; // u is not optional
      for (let repeat = 0; repeat < repeats; repeat++) x = 0.75 * x + 0.5;
      y[i] = x;
    }
  },
});

export function fmaProbe(u: Tensor, repeats: number): Tensor {
  return apply(fmaProbeOp, [u], { repeats })[0];
}

/** Memory to read, of numbers that were once written: pages nobody wrote to would all be the same page. */
export function readBuffer(device: Device, bytes: number): Tensor {
  const buffer = device.empty([Math.ceil(bytes / 4)], "i32");
  const piece = Int32Array.from({ length: 2 ** 16 }, (_, i) => i);
  const { length } = buffer.buffer;
  for (let at = 0; at < length; at += piece.length) {
    device.backend.write(buffer.buffer, piece.subarray(0, length - at), at);
  }
  return buffer;
}

/** A run reads at least this much, so that starting it does not count. */
const leastBytes = 2 ** 24;

/**
 * Reads the first `bytes` of the buffer. What caches may hold is read again and again, in as many slices as there are
 * threads, so that each core can keep its own; what is larger is read once, in slices of 1 MiB.
 */
export function readCase(
  buffer: Tensor,
  bytes: number,
  threads: number,
  streams: ReadOptions["streams"] = 1,
): Case {
  const size = Math.floor(bytes / 4);
  const repeats = Math.ceil(leastBytes / bytes);
  const sliceLength = repeats > 1 ? Math.ceil(size / threads) : 2 ** 18;
  const program = capture(buffer.device, () => readProbe(buffer, { size, sliceLength, streams, repeats }));
  return {
    name: `read ${formatBytes(bytes)}${streams === 1 ? "" : `, ${streams} streams`}`,
    bytes: bytes * repeats,
    flops: 0,
    work: { amount: (bytes * repeats) / 1e9, unit: "GB" },
    ...replays(program),
    free: () => program.free(),
  };
}

/** Copies so that `bytes` move: half of them are read, half written. */
export function copyCase(device: Device, bytes: number): Case {
  const u = device.tensor(new Float32Array(bytes / 8).fill(1));
  const program = capture(device, () => copyProbe(u));
  return {
    name: `copy, ${formatBytes(bytes)} in and out`,
    bytes,
    flops: 0,
    work: { amount: bytes / 1e9, unit: "GB" },
    ...replays(program),
    free() {
      program.free();
      u.free();
    },
  };
}

/** Keeps every FMA unit busy for about a millisecond a thread: tasks are 160 floats. */
export function fmaCase(device: Device, tasks: number, repeats: number): Case {
  const u = device.tensor(new Float32Array(tasks * chainFloats).fill(1));
  const program = capture(device, () => fmaProbe(u, repeats));
  const flops = 2 * tasks * chainFloats * repeats;
  return {
    name: "fused multiply-adds in registers",
    bytes: 0,
    flops,
    work: { amount: flops / 1e9, unit: "GFLOP" },
    ...replays(program),
    free() {
      program.free();
      u.free();
    },
  };
}

function formatBytes(bytes: number): string {
  return bytes < 2 ** 20 ? `${Math.round(bytes / 2 ** 10)} KiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}
