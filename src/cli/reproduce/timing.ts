import { Device, DeviceError, planMemory, type Program, scope, type Tensor } from "../../node.ts";
import { interleave } from "../bench/measure.ts";

/** Something to be timed: a captured program and the tensors that it reads. */
export interface Timed {
  readonly program: Program<unknown>;
  readonly inputs: readonly Tensor[];
}

export interface Timing {
  /** The fastest run: what others on the machine took is left out. */
  readonly seconds: number;
  readonly medianSeconds: number;
  readonly runs: number;
  /** Bytes of the program, its results and what it reads. */
  readonly bytes: number;
}

/** What a device of ours can hold. */
export const mostBytes = 2 ** 32;

/**
 * The least that something takes which no device can hold: its plan, made on a device that computes and holds nothing.
 * The kernels' own scratch is not in it.
 */
export function plannedBytes(build: (device: Device) => Timed): number {
  const nothing = new Device({
    name: "none",
    float: "f32",
    allocate: (dtype, length) => ({ dtype, length }),
    free() {},
    write() {},
    read: async () => new Float32Array(0),
    run() {},
    compile({ calls, planned }) {
      const { bytes } = planMemory(calls, planned);
      return { bytes, arenaBytes: bytes, run() {}, free() {} };
    },
    dispose: async () => {},
  });
  return bytesOf(build(nothing));
}

function bytesOf({ program, inputs }: Timed): number {
  return inputs.reduce((sum, { buffer }) => sum + 4 * buffer.length, program.bytes);
}

/** A first run as long as this is the only one. */
const longSeconds = 4;

/**
 * Times a program: three rounds of a quarter of a second after a run that does not count. What it holds is given back
 * afterwards. Null when it does not fit into the memory of the device.
 */
export async function time(device: Device, build: () => Timed): Promise<Timing | null> {
  let timed: Timed;
  try {
    timed = scope(device, build);
  } catch (error) {
    if (error instanceof DeviceError) return null;
    throw error;
  }
  const { program, inputs } = timed;
  try {
    return { ...(await timesOf(() => program.run())), bytes: bytesOf(timed) };
  } finally {
    for (const part of [program, ...inputs]) part.free();
  }
}

async function timesOf(run: () => void): Promise<Omit<Timing, "bytes">> {
  const started = performance.now();
  run();
  const first = (performance.now() - started) / 1000;
  if (first >= longSeconds) return { seconds: first, medianSeconds: first, runs: 1 };
  const subject = { name: "", run };
  const clocks = { now: () => performance.now(), busy: () => 0 };
  const samples = await interleave([subject], {
    rounds: 3,
    turnMs: 250,
    warmMs: 0,
    ...clocks,
    progress() {},
  });
  const { minMs, medianMs, runs } = samples.get(subject)!; // it was measured
  return { seconds: minMs / 1000, medianSeconds: medianMs / 1000, runs };
}
