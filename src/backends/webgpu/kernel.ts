import type { Dtype } from "../../tensor/backend.ts";
import type { Sizes } from "../../tensor/op.ts";

/** What the device can do, as far as kernels choose by it. A result's bits may depend on it, its meaning never does. */
export interface Gpu {
  /** Storage buffers that one pass may bind: 8 by default. */
  readonly storageBuffers: number;
  /** Bytes of workgroup memory: 16 KiB by default. */
  readonly workgroupBytes: number;
  /** Invocations of a workgroup: 256 by default. */
  readonly invocations: number;
  /** Smallest and largest size of a subgroup, where subgroups are there and wanted. */
  readonly subgroups: { readonly least: number; readonly most: number } | null;
  /** Whether `shader-f16` is there and wanted. */
  readonly f16: boolean;
  /** Whether there are matrix units for 16 × 16 × 16 of f16 with sums in f32, by subgroups of 32. */
  readonly matrices: boolean;
  /** Whether programs may put one kernel in the place of several. */
  readonly fuse: boolean;
  /** Invocations that keep the whole GPU busy. */
  readonly parallelism: number;
  /** Scans in one pass over time, or in passes over spans that are worked on side by side. Default: by the sizes. */
  readonly scan?: "onePass" | "spans";
  /** Complex numbers, powers of two, of a Fourier transform in a workgroup and in scratch. Default: by the limits. */
  readonly fourier?: { readonly near: number; readonly scratch: number };
}

/** Names of inputs that are reserved words of WGSL. */
const reserved = new Set(["filter", "target"]);

/** The name that kernels have for an input or output of an op: its own, or with `_` behind it where WGSL reserves that. */
export function wgslName(name: string): string {
  return reserved.has(name) ? `${name}_` : name;
}

/**
 * A call as a kernel sees it: its sizes, and which of its buffers are there, by name. An input and an output have
 * their own names (`wgslName`); an output that is called as an input is `next_<name>`; the gradient of either is
 * `d_<name>`.
 */
export interface KernelCall {
  readonly sizes: Sizes;
  /** Whether the buffer is there: an optional input, an output that is wanted, a gradient that is asked for or given. */
  has(name: string): boolean;
  /** Whether the gradient is added to what its buffer holds, instead of overwriting it. */
  adds(name: string): boolean;
  /** How many numbers the buffer holds. */
  length(name: string): number;
  dtype(name: string): Dtype;
}

/**
 * A buffer as a pass sees it: `name`, or `name: vec4f` for another view of the same memory. f16 numbers lie two in a u32,
 * for `unpack2x16float`, which every WebGPU has.
 */
export type Binding = string;

/** One dispatch. */
export interface Pass {
  /** Buffers that are only read, and those that are written (and may be read): at most 8 together, else split the pass. */
  readonly reads: readonly Binding[];
  readonly writes: readonly Binding[];
  /** Workgroups, in a line; any number. */
  readonly workgroups: number;
  /** Invocations of a workgroup, in a line. Default 64. */
  readonly workgroupSize?: number;
  /**
   * WGSL with `fn run(group: u32, lane: u32)`, called once by each invocation: its workgroup, and its place in there.
   * Bound buffers are arrays of their names. Sizes of the call that the code mentions are there under their names, u32,
   * i32 where they are negative, or f32 where the kernel set says so: as constants, or, those that it calls dynamic, as
   * uniforms. So do not use the name of a dynamic size for anything else, and do not write its value into the text.
   */
  readonly code: string;
  /** Whole numbers of this pass alone, uniforms: where a call goes in several passes of one pipeline. */
  readonly numbers?: Sizes;
  /** WGSL `enable` extensions: f16, subgroups. With subgroups, `subgroupLane` and `subgroupSize` are there too. */
  readonly enable?: readonly string[];
  /** Bytes that it moves from and to slow memory. Default: each bound buffer once, an added gradient twice. */
  readonly bytes?: number;
  /** Float operations: a fused multiply-add is two, an exponential one. */
  readonly operations?: number;
}

/** The passes of one call, in order. */
export interface Schedule {
  readonly passes: readonly Pass[];
  /** Floats of each scratch buffer that the passes name. Undefined content at the start. */
  readonly scratch?: Readonly<Record<string, number>>;
}

export type Kernel = (call: KernelCall, gpu: Gpu) => Schedule;

/** The kernels of one op. */
export interface KernelSet {
  readonly forward?: Kernel;
  readonly backward?: Kernel;
  /** Sizes that are f32; all others are u32, or i32 where they are negative. */
  readonly floats?: readonly string[];
  /**
   * Sizes that change from call to call in one program's life, lengths and counts of rows: one pipeline serves them all.
   * The others are constants in the code, which is compiled anew for each of their values.
   */
  readonly dynamic?: readonly string[];
  /** What the usual composition of simple ops would move for one forward call, bytes. Default: what the call's buffers hold. */
  naiveBytes?(sizes: Sizes): number;
}

/** A schedule of one pass. */
export function onePass(pass: Pass): Schedule {
  return { passes: [pass] };
}

/** The name under which kernels know a binding. */
export function nameOf(binding: Binding): string {
  return binding.split(":")[0].trim();
}

/** Most workgroups in one dimension of a dispatch, everywhere. */
const mostInLine = 65535;

/** The workgroups of a dispatch, folded into two dimensions where one is too short. */
export function gridOf(workgroups: number): [number, number] {
  if (workgroups <= mostInLine) return [workgroups, 1];
  const rows = Math.ceil(workgroups / mostInLine);
  return [Math.ceil(workgroups / rows), rows];
}

/** What a module needs to know beside its pass. */
export interface ModuleContext {
  readonly sizes: Sizes;
  readonly floats: readonly string[];
  readonly dynamic: readonly string[];
  dtype(name: string): Dtype;
}

/** A WGSL module, and the numbers of its uniform buffer, as 32-bit words. */
export interface Module {
  readonly code: string;
  readonly uniforms: readonly number[];
}

/** The module of a pass: constants, bindings, its code, and the entry point `main` that calls `run`. */
export function moduleOf(pass: Pass, { sizes, floats, dynamic, dtype }: ModuleContext): Module {
  const { reads, writes, numbers = {}, enable = [], workgroups, workgroupSize = 64 } = pass;
  const words = new Set(pass.code.match(/[A-Za-z_]\w*/g));
  const mentioned = Object.entries({ ...sizes, ...numbers }).filter(([name]) => words.has(name));
  const isDynamic = (name: string) => name in numbers || dynamic.includes(name);
  const uniforms = mentioned.filter(([name]) => isDynamic(name));
  const constants = mentioned.filter(([name]) => !isDynamic(name));
  const bindings = [...reads, ...writes].map((binding, i) => {
    const name = nameOf(binding);
    const view = binding.split(":")[1]?.trim() ?? (dtype(name) === "f16" ? "u32" : dtype(name));
    const access = i < reads.length ? "read" : "read_write";
    return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${view}>;`;
  });
  const members = uniforms.map(([name, value]) => `${name}: ${typeOf(value, floats.includes(name))}, `);
  const [columns, rows] = gridOf(workgroups);
  const folded = rows > 1;
  if (folded) members.push("workgroups: u32, ");
  const subgroups = enable.includes("subgroups");
  const more =
    ", @builtin(subgroup_invocation_id) subgroupLane: u32, @builtin(subgroup_size) subgroupSize: u32";
  const code = uniforms.reduce(
    (text, [name]) => text.replace(new RegExp(`(?<![\\w.])${name}\\b`, "g"), `sizes.${name}`),
    pass.code.trim(),
  );
  return {
    uniforms: [
      ...uniforms.map(([name, value]) => (floats.includes(name) ? floatBits(value) : value)),
      ...(folded ? [workgroups] : []),
    ],
    code: [
      ...enable.map((extension) => `enable ${extension};`),
      ...constants.map(([name, value]) => `const ${name} = ${literal(value, floats.includes(name))};`),
      ...bindings,
      ...(members.length > 0
        ? [
            `struct Sizes { ${members.join("")}}`,
            `@group(0) @binding(${bindings.length}) var<uniform> sizes: Sizes;`,
          ]
        : []),
      code,
      `@compute @workgroup_size(${workgroupSize})`,
      "fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u,",
      `  @builtin(local_invocation_index) lane: u32${subgroups ? more : ""}) {`,
      `  let group = workgroup.x${folded ? " + grid.x * workgroup.y" : ""};`,
      ...(folded && columns * rows !== workgroups ? ["  if (group >= sizes.workgroups) { return; }"] : []),
      `  run(group, lane${subgroups ? ", subgroupLane, subgroupSize" : ""});`,
      "}",
      "",
    ].join("\n"),
  };
}

function typeOf(value: number, float: boolean): string {
  return float ? "f32" : value < 0 ? "i32" : "u32";
}

/** A number as a WGSL literal. Those of NaN and the infinities do not exist. */
function literal(value: number, float: boolean): string {
  const rounded = Math.fround(value);
  if (float && Number.isFinite(rounded)) return `f32(${rounded})`;
  if (!float && Number.isInteger(value)) return value < 0 ? `${value}i` : `${value}u`;
  throw new Error(
    `internal: a WGSL constant must be whole, or a finite float that is called one, got ${value}`,
  );
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}
