import { type Buffer, bytesOf, type Call, type MaybeBuffer } from "../../tensor/backend.ts";
import { DeviceError } from "../../tensor/errors.ts";
import {
  type Gpu,
  type Kernel,
  type KernelCall,
  type KernelSet,
  type Module,
  type ModuleContext,
  moduleOf,
  nameOf,
  type Pass,
  type Schedule,
  wgslName,
} from "./kernel.ts";
import { kernelSets } from "./kernels/list.ts";

/** A dispatch that is ready but for the memory of its buffers. */
export interface Dispatch {
  /** "selectiveScan backward 2", for people. */
  readonly label: string;
  readonly pass: Pass;
  readonly context: ModuleContext;
  readonly module: Module;
  /** In the order of the bindings. */
  readonly buffers: readonly Buffer[];
  /** Bytes it moves from and to slow memory, and float operations it does. */
  readonly bytes: number;
  readonly operations: number;
}

/** A call as dispatches, in order. */
export interface Step {
  readonly dispatches: readonly Dispatch[];
  /** Scratch buffers: their memory is needed during this step only. */
  readonly scratch: readonly Buffer[];
}

/** Asks the call's kernel what to dispatch. @throws DeviceError when there is none, or the call is too much for it. */
export function stepOf(call: Call, gpu: Gpu): Step {
  const set: KernelSet | undefined = kernelSets[call.op.name];
  const kernel = set?.[call.pass];
  if (kernel === undefined) {
    throw new DeviceError(`webgpu: has no ${call.pass} kernel for ${call.op.name}. Use another device.`);
  }
  const named = namesOf(call);
  const silent = call.pass === "backward" && call.outputGrads.every((gradient) => gradient === null);
  const schedule = scheduleOf(call, (silent ? zeroGradients(call) : kernel)(viewOf(call, named), gpu));
  const scratch = new Map<string, Buffer>(
    Object.entries(schedule.scratch ?? {}).map(([name, length]) => [name, { dtype: "f32", length }]),
  );
  const find = (name: string) => {
    const buffer = named.get(name) ?? scratch.get(name);
    if (!buffer) throw new Error(`internal: ${call.op.name} ${call.pass} has no buffer called ${name}`);
    return buffer;
  };
  const context: ModuleContext = {
    sizes: call.sizes,
    floats: set.floats ?? [],
    dynamic: set.dynamic ?? [],
    dtype: (name) => find(name).dtype,
  };
  const many = schedule.passes.length > 1;
  return {
    scratch: [...scratch.values()],
    dispatches: schedule.passes.map((pass, i) => {
      expectFits(call, pass, gpu);
      const buffers = [...pass.reads, ...pass.writes].map((binding) => find(nameOf(binding)));
      return {
        label: `${call.op.name} ${call.pass}${many ? ` ${i + 1}` : ""}`,
        pass,
        context,
        module: moduleOf(pass, context),
        buffers,
        bytes: pass.bytes ?? boundBytes(call, pass, find),
        operations: pass.operations ?? 0,
      };
    }),
  };
}

/** As `stepOf`, which it asks once for each call. */
export function stepsFor(gpu: Gpu): (call: Call) => Step {
  const made = new Map<Call, Step>();
  return (call) => {
    const step = made.get(call) ?? stepOf(call, gpu);
    made.set(call, step);
    return step;
  };
}

/** Where no output has a gradient, those of the inputs are 0: what is added to stays as it is. */
function zeroGradients({ op, inputGrads, accumulate }: Call): Kernel {
  const names = op.inputs
    .filter((_, i) => inputGrads[i] !== null && !accumulate[i])
    .map((name) => `d_${name}`);
  return (call) => ({
    passes: names.map((name) => ({
      reads: [],
      writes: [`${name}: vec4f`],
      workgroups: Math.ceil(call.length(name) / (4 * 64)),
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = 64u * group + lane;
  if (i < arrayLength(&${name})) { ${name}[i] = vec4f(0.0); }
}`,
    })),
  });
}

/** Schedules without empty dispatches: an op on no elements does nothing. */
function scheduleOf({ op, pass }: Call, schedule: Schedule): Schedule {
  for (const { workgroups } of schedule.passes) {
    if (!Number.isInteger(workgroups) || workgroups < 0) {
      throw new Error(`internal: ${op.name} ${pass} asks for ${workgroups} workgroups`);
    }
  }
  return { ...schedule, passes: schedule.passes.filter(({ workgroups }) => workgroups > 0) };
}

function expectFits({ op, pass: direction }: Call, pass: Pass, gpu: Gpu): void {
  const bound = pass.reads.length + pass.writes.length;
  const size = pass.workgroupSize ?? 64;
  if (bound > gpu.storageBuffers || size > gpu.invocations) {
    throw new Error(
      `internal: a pass of ${op.name} ${direction} binds ${bound} buffers for ${size} invocations, ` +
        `the device allows ${gpu.storageBuffers} and ${gpu.invocations}`,
    );
  }
}

function boundBytes({ accumulate, op }: Call, pass: Pass, find: (name: string) => Buffer): number {
  const adding = new Set(op.inputs.filter((_, i) => accumulate[i]).map((name) => `d_${name}`));
  return [...pass.reads, ...pass.writes].reduce((sum, binding) => {
    const name = nameOf(binding);
    return sum + bytesOf(find(name)) * (adding.has(name) ? 2 : 1);
  }, 0);
}

/** The buffers of a call that are there, by the names that kernels know them by. */
function namesOf({ op, inputs, outputs, outputGrads, inputGrads }: Call): Map<string, Buffer> {
  const outputNames = op.outputs.map((name) => (op.inputs.includes(name) ? `next_${name}` : name));
  const named = new Map<string, Buffer>();
  const note = (names: readonly string[], buffers: readonly MaybeBuffer[], prefix = "") => {
    for (const [i, buffer] of buffers.entries()) {
      if (buffer) named.set(prefix ? prefix + names[i] : wgslName(names[i]), buffer);
    }
  };
  note(op.inputs, inputs);
  note(outputNames, outputs);
  note(outputNames, outputGrads, "d_");
  note(op.inputs, inputGrads, "d_");
  return named;
}

function viewOf({ op, sizes, accumulate }: Call, named: ReadonlyMap<string, Buffer>): KernelCall {
  const get = (name: string) => {
    const buffer = named.get(name);
    if (!buffer) throw new Error(`internal: ${op.name} was given no ${name}`);
    return buffer;
  };
  return {
    sizes,
    has: (name) => named.has(name),
    adds: (name) => accumulate[op.inputs.indexOf(name.replace(/^d_/, ""))] ?? false,
    length: (name) => get(name).length,
    dtype: (name) => get(name).dtype,
  };
}
