import { accessesOf, type Buffer, bytesOf, type Call, type Executable, type MaybeBuffer } from "./backend.ts";
import type { Device } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { planMemory } from "./plan.ts";
import { tensorsIn } from "./tensor.ts";

/** A function's calls on planned memory, to be run again and again. */
export interface Program<Result> {
  /** What the function returned. Each run() writes new numbers into these same tensors. */
  readonly result: Result;
  readonly calls: readonly Call[];
  /** Bytes of what lives only inside a run (after planning), and what it would be if nothing were reused. */
  readonly arenaBytes: number;
  readonly unplannedBytes: number;
  /** Bytes held by this program: arena, scratch, code and result. Not the tensors that came from outside. */
  readonly bytes: number;
  /** Computes everything once, from the numbers that the tensors from outside hold now. */
  run(): void;
  free(): void;
}

/**
 * Records one call of `fn` as a program: a flat list of kernel calls with known shapes and planned memory. Nothing is
 * computed until run(). Tensors from outside keep their identity: write new numbers into them between the runs.
 */
export function capture<Result>(device: Device, fn: () => Result): Program<Result> {
  if (device.recording) throw new DeviceError("capture: called inside a captured function. Call it before.");
  const recording = { calls: [] as Call[], buffers: new Set<Buffer>() };
  device.recording = recording;
  let result: Result;
  try {
    result = fn();
  } finally {
    device.recording = null;
  }

  const placed = new Map<Buffer, Buffer>(); // results get memory of their own
  for (const tensor of tensorsIn(result)) {
    const { buffer } = tensor;
    if (!recording.buffers.has(buffer)) continue;
    const own = placed.get(buffer) ?? device.backend.allocate(buffer.dtype, buffer.length);
    placed.set(buffer, own);
    tensor.buffer = own;
  }
  const calls = neededCalls(
    recording.calls.map((call) => substitute(call, placed)),
    recording.buffers,
  );
  const { offsets, bytes, unplannedBytes } = planMemory(calls, recording.buffers);
  const executable: Executable = device.backend.compile({ calls, offsets, bytes });
  const resultBytes = [...placed.keys()].reduce((sum, buffer) => sum + bytesOf(buffer), 0);
  return {
    result,
    calls,
    arenaBytes: bytes,
    unplannedBytes,
    bytes: executable.bytes + resultBytes,
    run: () => executable.run(),
    free() {
      executable.free();
      for (const buffer of placed.values()) device.backend.free(buffer);
    },
  };
}

function substitute(call: Call, placed: ReadonlyMap<Buffer, Buffer>): Call {
  const swap = (buffers: readonly MaybeBuffer[]) =>
    buffers.map((buffer) => (buffer && placed.get(buffer)) ?? buffer);
  return {
    ...call,
    inputs: swap(call.inputs),
    outputs: swap(call.outputs),
    outputGrads: swap(call.outputGrads),
    inputGrads: swap(call.inputGrads),
  };
}

/** Without the calls whose every effect is on planned buffers that nobody reads later. */
function neededCalls(calls: readonly Call[], planned: ReadonlySet<Buffer>): Call[] {
  const needed = new Set<Buffer>();
  const kept: Call[] = [];
  for (const call of [...calls].reverse()) {
    const { reads, writes } = accessesOf(call);
    if (!writes.some((buffer) => needed.has(buffer) || !planned.has(buffer))) continue;
    for (const buffer of reads) needed.add(buffer);
    kept.push(call);
  }
  return kept.reverse();
}
