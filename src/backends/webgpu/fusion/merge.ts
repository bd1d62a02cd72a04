import type { Buffer } from "../../../tensor/backend.ts";
import type { Sizes } from "../../../tensor/op.ts";
import { type Gpu, type ModuleContext, moduleOf, nameOf, type Pass } from "../kernel.ts";
import type { Dispatch } from "../step.ts";

/** How far back a dispatch may move to run beside another. Memory is planned afterwards, so further is dearer. */
const reach = 12;

/** Workgroup memory of one dispatch: what every GPU has, and not so much that few of its workgroups fit on a core. */
const mostMemory = 16384;

/** Uniforms of one dispatch: 64 fit (uniforms.ts), some are left for where the parts begin. */
const mostUniforms = 48;

/**
 * Lets dispatches that need nothing of each other run side by side, as one: their workgroups share the GPU, and nobody
 * waits for the last of one before the first of the next. A dispatch joins the earliest one that it can move to, past all
 * that need nothing of it, and that has room for its buffers and its workgroup memory: the later ones have room, then, for
 * those that cannot move so far.
 */
export function merge(dispatches: readonly Dispatch[], gpu: Gpu): Dispatch[] {
  const groups: Dispatch[][] = [];
  for (const dispatch of dispatches) {
    let joined: Dispatch[] | null = null;
    for (let i = groups.length - 1; i >= Math.max(0, groups.length - reach); i--) {
      const group = groups[i];
      if (group.some((other) => conflict(other, dispatch))) break;
      if (fits([...group, dispatch], gpu)) joined = group;
    }
    if (joined) joined.push(dispatch);
    else groups.push([dispatch]);
  }
  return groups.map((group) => (group.length === 1 ? group[0] : sideBySide(group)));
}

/** The buffers that a dispatch writes. */
function writesOf({ pass, buffers }: Dispatch): readonly Buffer[] {
  return buffers.slice(pass.reads.length);
}

function conflict(a: Dispatch, b: Dispatch): boolean {
  const [inA, inB] = [writesOf(a), writesOf(b)];
  return inA.some((buffer) => b.buffers.includes(buffer)) || inB.some((buffer) => a.buffers.includes(buffer));
}

function fits(group: readonly Dispatch[], gpu: Gpu): boolean {
  const size = sizeOf(group);
  if (!group.every((part) => ownSize(part) === size || (alone(part) && ownSize(part) % size === 0)))
    return false;
  const uniforms = group.reduce((sum, { module }) => sum + module.uniforms.length, 0);
  if (uniforms > mostUniforms) return false;
  if (bindingsOf(group).length > gpu.storageBuffers) return false;
  const memory = [...memoryOf(group)].reduce((sum, [type, count]) => sum + count * typeBytes(type), 0);
  return memory <= Math.min(gpu.workgroupBytes, mostMemory);
}

function ownSize({ pass }: Dispatch): number {
  return pass.workgroupSize ?? 64;
}

/** Whether its invocations have nothing to do with each other, so that workgroups may be of another size. */
function alone({ pass }: Dispatch): boolean {
  return !/Barrier\b|\bvar<workgroup>/.test(pass.code) && !pass.enable?.includes("subgroups");
}

/** The workgroup size of the whole: that of parts whose invocations work together, else the smallest. */
function sizeOf(group: readonly Dispatch[]): number {
  const bound = group.find((dispatch) => !alone(dispatch));
  return bound ? ownSize(bound) : Math.min(...group.map(ownSize));
}

/**
 * The types of variables in workgroup memory, and how many of each there must be: a workgroup runs one of the parts, so
 * they use the same ones.
 */
function memoryOf(group: readonly Dispatch[]): Map<string, number> {
  const most = new Map<string, number>();
  for (const { pass } of group) {
    const types = workgroupVariables(pass.code).map(({ type }) => type);
    for (const type of types)
      most.set(type, Math.max(most.get(type) ?? 0, types.filter((other) => other === type).length));
  }
  return most;
}

/** A binding of the whole, and what it is called in each part that has it. */
interface Shared {
  readonly buffer: Buffer;
  readonly view: string;
  readonly written: boolean;
  readonly name: string;
  /** The name in a part, by the number of the part. */
  readonly names: Map<number, string>;
}

/**
 * Each buffer once, unless it is seen in different ways, or twice by one part: there each of its names may have variables
 * that are called like it.
 */
function bindingsOf(group: readonly Dispatch[]): Shared[] {
  const shared: Shared[] = [];
  for (const [part, { pass, buffers }] of group.entries()) {
    for (const [i, binding] of [...pass.reads, ...pass.writes].entries()) {
      const buffer = buffers[i];
      const name = nameOf(binding);
      const view = binding.split(":")[1]?.trim() ?? "";
      const known = shared.find(
        (other) => other.buffer === buffer && other.view === view && !other.names.has(part),
      );
      if (known) known.names.set(part, name);
      else {
        const written = i >= pass.reads.length;
        shared.push({ buffer, view, written, name: `${name}_${part}`, names: new Map([[part, name]]) });
      }
    }
  }
  return [...shared.filter(({ written }) => !written), ...shared.filter(({ written }) => written)];
}

function sideBySide(group: readonly Dispatch[]): Dispatch {
  const shared = bindingsOf(group);
  const subgroups = group.some(({ pass }) => pass.enable?.includes("subgroups"));
  const sizes: Record<string, number> = {};
  const floats: string[] = [];
  const dynamic: string[] = [];
  const codes: string[] = [];
  const calls: string[] = [];
  const size = sizeOf(group);
  const memory = [...memoryOf(group)].map(([type, count], k) => ({
    type,
    names: Array.from({ length: count }, (_, i) => `memory_${k}_${i}`),
  }));
  let start = 0;
  for (const [part, dispatch] of group.entries()) {
    const { pass, context } = dispatch;
    const own = (name: string) => `${name}_${part}`;
    const names = new Map(declared(pass.code).map((name) => [name, own(name)]));
    const given: Sizes = { ...context.sizes, ...pass.numbers };
    for (const [name, value] of Object.entries(given)) {
      names.set(name, own(name));
      sizes[own(name)] = value;
      if (context.floats.includes(name)) floats.push(own(name));
      if (context.dynamic.includes(name) || name in (pass.numbers ?? {})) dynamic.push(own(name));
    }
    for (const binding of shared) {
      const own = binding.names.get(part);
      if (own !== undefined) names.set(own, binding.name);
    }
    const taken = new Map<string, number>();
    for (const { name, type } of workgroupVariables(pass.code)) {
      const place = taken.get(type) ?? 0;
      taken.set(type, place + 1);
      names.set(name, memory.find((one) => one.type === type)!.names[place]); // there are as many as any part has
    }
    // What is called like a name that gets a number here, without being one, gets another number.
    const nameOfWord = (word: string) => names.get(word) ?? (/_\d+$/.test(word) ? own(word) : word);
    codes.push(pass.code.replaceAll(workgroupVariable, "").replace(/(?<![\w.])[A-Za-z_]\w*/g, nameOfWord));
    // Where a part begins is a number of the call: a longer sequence has more workgroups in the same pipeline.
    if (start > 0) {
      sizes[`start_${part}`] = start;
      dynamic.push(`start_${part}`);
    }
    const more = pass.enable?.includes("subgroups") ? ", subgroupLane, subgroupSize" : "";
    const times = ownSize(dispatch) / size; // workgroups of the whole in the place of one of its own
    const place = start > 0 ? `(group - start_${part})` : "group";
    const where =
      times === 1 ? `${place}, lane` : `${place} / ${times}u, ${place} % ${times}u * ${size}u + lane`;
    const call = `run_${part}(${where}${more});`;
    calls.push(start > 0 ? `if (group >= start_${part}) { ${call} return; }` : call);
    start += times * pass.workgroups;
  }
  const named = (written: boolean) =>
    shared
      .filter((binding) => binding.written === written)
      .map(({ name, view }) => (view ? `${name}: ${view}` : name));
  const pass: Pass = {
    reads: named(false),
    writes: named(true),
    workgroups: start,
    workgroupSize: size,
    enable: [...new Set(group.flatMap((dispatch) => dispatch.pass.enable ?? []))],
    code: [
      ...memory.flatMap(({ type, names }) => names.map((name) => `var<workgroup> ${name}: ${type};`)),
      ...codes,
      `fn run(group: u32, lane: u32${subgroups ? ", subgroupLane: u32, subgroupSize: u32" : ""}) {`,
      ...calls.reverse().map((call) => `  ${call}`),
      "}",
    ].join("\n"),
  };
  const context: ModuleContext = {
    sizes,
    floats,
    dynamic,
    dtype: (name) => shared.find((binding) => binding.name === name)!.buffer.dtype, // every name is one of these
  };
  return {
    label: group.map(({ label }) => label).join(" + "),
    pass,
    context,
    module: moduleOf(pass, context),
    buffers: shared.map(({ buffer }) => buffer),
    bytes: group.reduce((sum, { bytes }) => sum + bytes, 0),
    operations: group.reduce((sum, { operations }) => sum + operations, 0),
  };
}

/** What a text of WGSL declares at its top level, and some of what it declares inside: renaming that does no harm. */
function declared(code: string): string[] {
  const plain = [...code.matchAll(/\b(?:fn|const|struct|alias)\s+(\w+)/g)];
  const variables = [...code.matchAll(/\bvar<private>\s+(\w+)/g)];
  return [...plain, ...variables].map(([, name]) => name);
}

const workgroupVariable = /\bvar<workgroup>\s+(\w+)\s*:\s*([^;]+);/g;

/** The variables in workgroup memory that a text of WGSL declares. */
function workgroupVariables(code: string): { name: string; type: string }[] {
  return [...code.matchAll(workgroupVariable)].map(([, name, type]) => ({
    name,
    type: type.replaceAll(/\s/g, ""),
  }));
}

/** Bytes of workgroup memory that a text of WGSL declares; infinite where its sizes are not written as numbers. */
export function workgroupBytes(code: string): number {
  return workgroupVariables(code).reduce((sum, { type }) => sum + typeBytes(type), 0);
}

const scalarBytes: Readonly<Record<string, number>> = { f32: 4, u32: 4, i32: 4, f16: 2, bool: 4 };

function typeBytes(type: string): number {
  if (type in scalarBytes) return scalarBytes[type];
  const atomic = /^atomic<(\w+)>$/.exec(type);
  if (atomic) return typeBytes(atomic[1]);
  const vector = /^vec([234])(?:<(\w+)>|([fuih]))$/.exec(type);
  if (vector) return (vector[1] === "2" ? 2 : 4) * (vector[3] === "h" || vector[2] === "f16" ? 2 : 4);
  const array = /^array<(.+),(\d+)u?>$/.exec(type);
  return array ? typeBytes(array[1]) * Number(array[2]) : Infinity;
}
