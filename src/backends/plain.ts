import type { Backend, Buffer, Call, Dtype, Executable, Float, Numbers, Plan } from "../tensor/backend.ts";
import { toHalf, widenHalves } from "../tensor/half.ts";
import { planMemory } from "../tensor/plan.ts";

interface PlainBuffer extends Buffer {
  readonly values: Numbers;
}

/** f16 is held as the f32 numbers that it can say. */
const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array, f16: Float32Array };

/**
 * Runs each op's own loops: on every machine, in float32 or float64, one thread, nothing to set up. It defines what
 * the other backends must compute; it is not meant to be fast.
 */
export function plainBackend(float: Float = "f32"): Backend {
  return {
    name: "plain",
    float,
    allocate: (dtype, length) => hold(new arrays[dtype](length), dtype),
    free() {},
    write(buffer, values, offset = 0) {
      const stored = buffer.dtype === "f16" ? widenHalves(Uint16Array.from(values, toHalf)) : values;
      valuesOf(buffer).set(stored, offset);
    },
    read: async (buffer) => valuesOf(buffer).slice(),
    run: (call) => runLoops(call, valuesOf),
    compile: (plan) => compile(plan),
    async dispose() {},
  };
}

function hold(values: Numbers, dtype: Dtype): PlainBuffer {
  return { dtype, length: values.length, values };
}

function valuesOf(buffer: Buffer): Numbers {
  return (buffer as PlainBuffer).values;
}

function compile({ calls, planned }: Plan): Executable {
  const { offsets, bytes } = planMemory(calls, planned);
  const arena = new ArrayBuffer(bytes);
  const views = new Map<Buffer, Numbers>();
  for (const [buffer, offset] of offsets) {
    views.set(buffer, new arrays[buffer.dtype](arena, offset, buffer.length));
  }
  const resolve = (buffer: Buffer) => views.get(buffer) ?? valuesOf(buffer);
  return {
    bytes,
    arenaBytes: bytes,
    run() {
      for (const call of calls) runLoops(call, resolve);
    },
    free() {},
  };
}

/** Gives the op's loops what they are promised: zeroed outputs, and an array for every gradient. */
function runLoops(call: Call, resolve: (buffer: Buffer) => Numbers): void {
  const { op, sizes, accumulate } = call;
  const inputs = call.inputs.map((buffer) => buffer && resolve(buffer));
  if (call.pass === "forward") {
    const outputs = call.outputs.filter((buffer) => buffer !== null).map((buffer) => resolve(buffer).fill(0));
    op.forward(inputs, outputs, sizes);
    return;
  }
  const outputs = call.outputs.map((buffer) => resolve(buffer!)); // made under a tape, every output exists
  const outputGrads = call.outputGrads.map((buffer, i) => (buffer ? resolve(buffer) : zerosLike(outputs[i])));
  const inputGrads = call.inputGrads.map((buffer, i) => {
    if (buffer === null) return zerosLike(inputs[i] ?? new Float64Array(0));
    return accumulate[i] ? resolve(buffer) : resolve(buffer).fill(0);
  });
  op.backward!(inputs, outputs, outputGrads, inputGrads, sizes); // gradients() refuses ops without one
}

function zerosLike(values: Numbers): Float64Array {
  return new Float64Array(values.length);
}
