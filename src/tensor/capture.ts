import { accessesOf, type Buffer, bytesOf, type Call, type Executable, type MaybeBuffer } from "./backend.ts";
import type { Device, Recording } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { lifetimes, unplannedBytes } from "./plan.ts";
import { tensorsIn } from "./tensor.ts";

/** A function's calls on planned memory, to be run again and again. */
export interface Program<Result> {
  /** What the function returned. Each run() writes new numbers into these same tensors. */
  readonly result: Result;
  readonly calls: readonly Call[];
  /** What the device made of them. */
  readonly executable: Executable;
  /** Bytes of what lives only inside a run (after planning), and what it would be if nothing were reused. */
  readonly arenaBytes: number;
  readonly unplannedBytes: number;
  /** Bytes held by this program: arena, scratch, code, constants and result. Not the tensors from outside. */
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
  const held: Buffer[] = []; // what the program owns on the device: constants, then results
  const recording: Recording = { calls: [], buffers: new Set(), constants: held };
  const freeHeld = () => {
    for (const buffer of held) device.backend.free(buffer);
  };
  try {
    const result = record(device, recording, fn);
    const placed = placeResults(device, recording, result);
    held.push(...placed.values());
    const calls = neededCalls(
      recording.calls.map((call) => substitute(call, placed)),
      recording.buffers,
    );
    const executable: Executable = device.backend.compile({ calls, planned: recording.buffers });
    return {
      result,
      calls,
      executable,
      arenaBytes: executable.arenaBytes,
      unplannedBytes: unplannedBytes(lifetimes(calls, recording.buffers)),
      bytes: held.reduce((sum, buffer) => sum + bytesOf(buffer), executable.bytes),
      run: () => executable.run(),
      free() {
        executable.free();
        freeHeld();
      },
    };
  } catch (error) {
    freeHeld();
    throw error;
  }
}

/** The calls that `fn` makes, without running or planning them. */
export function trace(device: Device, fn: () => unknown): readonly Call[] {
  if (device.recording) throw new DeviceError("trace: called inside a captured function. Call it before.");
  const recording: Recording = { calls: [], buffers: new Set(), constants: [] };
  try {
    record(device, recording, fn);
  } finally {
    for (const buffer of recording.constants) device.backend.free(buffer);
  }
  return recording.calls;
}

function record<Result>(device: Device, recording: Recording, fn: () => Result): Result {
  device.recording = recording;
  try {
    return fn();
  } finally {
    device.recording = null;
  }
}

/** Gives each planned buffer of the result memory of its own, to be read between the runs. */
function placeResults(device: Device, recording: Recording, result: unknown): Map<Buffer, Buffer> {
  const placed = new Map<Buffer, Buffer>();
  for (const tensor of tensorsIn(result)) {
    const { buffer } = tensor;
    if (!recording.buffers.has(buffer)) continue;
    const own = placed.get(buffer) ?? device.backend.allocate(buffer.dtype, buffer.length);
    placed.set(buffer, own);
    tensor.buffer = own;
  }
  return placed;
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
