/**
 * Polynomials modulo x^M − i and their products, M a power of two. As x^M = i, what a product of two real polynomials has
 * beyond x^(M − 1) comes out as imaginary part: their convolution with no padding, one channel at a time, so bits and NaN
 * of a channel stay its own.
 *
 * x^2k − r² = (x^k − r)(x^k + r): split takes a polynomial to its remainders, level by level down to its values at the M
 * roots, in the order of this tree, which a product does not mind; join is the way back, times M. In place, and the r of
 * a node is one number, so a subtree can be done wherever it fits: by one workgroup, eight numbers of an invocation in
 * registers for three levels at a time, exchanged through workgroup memory in between.
 */
import type { Gpu, Pass } from "../kernel.ts";
import { cis, complex } from "./complexMath.ts";

const size = 64;

/** Complex numbers that an invocation holds. */
const own = 8;

/** How a transform is cut. */
export interface FourierPlan {
  /** M = 2^levels. */
  readonly levels: number;
  /** Levels of the subtree that a workgroup does, and the channels of which it does one. */
  readonly near: number;
  readonly channels: number;
  /** Levels of each pass over all of a long transform, before the subtrees: empty if these are the whole. */
  readonly far: readonly number[];
  readonly threads: number;
}

/** Complex numbers of a scratch buffer: 64 MiB. */
export function fourierScratch({ fourier }: Gpu): number {
  return fourier?.scratch ?? 2 ** 23;
}

/** For sequences of `length`. */
export function fourierPlan(length: number, channels: number, gpu: Gpu): FourierPlan {
  const capacity = fourierCapacity(gpu);
  const levels = Math.max(3, Math.ceil(Math.log2(length)));
  const near = Math.min(levels, Math.log2(capacity));
  const together = Math.min(32, capacity >> near, 2 ** Math.ceil(Math.log2(channels)));
  const far = levels > near ? thirds(levels - near) : [];
  return { levels, near, channels: together, far, threads: (together << near) / own };
}

/** Twice the default where the device has it: more makes fewer workgroups fit. */
function fourierCapacity({ workgroupBytes, invocations, fourier }: Gpu): number {
  return fourier?.near ?? 2 ** Math.floor(Math.log2(Math.min(workgroupBytes / 8, invocations * own, 4096)));
}

/** A sum of threes, with two or four for the rest, and as a sum of twos. */
function thirds(levels: number): number[] {
  const steps: number[] = [];
  for (let left = levels; left > 0;) {
    const step = left === 1 ? 1 : left === 2 || left === 4 ? 2 : 3;
    steps.push(step);
    left -= step;
  }
  return steps;
}

/** Writes the table of all r: at 2^l − 1 + q that of node q of level l, an angle of (q with its bits reversed) / 2. */
export function rootsPass({ levels }: FourierPlan): Pass {
  return {
    reads: [],
    writes: ["roots: vec2f"],
    workgroups: Math.ceil(2 ** levels / size),
    workgroupSize: size,
    code: /* wgsl */ `${cis}
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  if (i >= ${2 ** levels - 1}u) { return; }
  let level = firstLeadingBit(i + 1u);
  roots[i] = cis((reverseBits(i + 1u - (1u << level)) >> 1u) + (0x20000000u >> level));
}`,
  };
}

/** Functions that the steps below use. */
export const fourierFunctions = /* wgsl */ `${complex}
fn quarter(w: vec2f) -> vec2f { return vec2f(-w.y, w.x); }
fn eighth(w: vec2f) -> vec2f { return 0.70710678 * vec2f(w.x - w.y, w.x + w.y); }`;

/** Of a node `q` of level `level` and the levels − 1 below it: r of each node on each, w[step][node]. */
function rootsOf(level: number, steps: number, q: string): { text: string; names: string[][] } {
  const lines: string[] = [];
  const names: string[][] = [];
  for (let j = 0; j < steps; j++) {
    lines.push(`let w${j} = roots[${2 ** (level + j) - 1}u + (${q} << ${j}u)];`);
    if (j === 2) lines.push("let w2e = eighth(w2);");
    names.push([`w${j}`, `quarter(w${j})`, "w2e", "quarter(w2e)"].slice(0, 2 ** j));
  }
  return { text: lines.join("\n"), names };
}

/** `steps` levels of the numbers `f` (2^steps names), down or up. */
function butterflies(f: readonly string[], names: readonly (readonly string[])[], up: boolean): string {
  const lines: string[] = [];
  const order = up ? [...names.keys()].reverse() : [...names.keys()];
  for (const j of order) {
    const half = f.length >> (j + 1);
    for (const [p, w] of names[j].entries()) {
      for (let e = 0; e < half; e++) {
        const [a, b] = [f[2 * p * half + e], f[(2 * p + 1) * half + e]];
        if (up) lines.push(`t = ${a} - ${b}; ${a} += ${b}; ${b} = times(conjugate(${w}), t);`);
        else lines.push(`t = times(${w}, ${b}); ${b} = ${a} - t; ${a} += t;`);
      }
    }
  }
  return lines.join("\n");
}

const registers = Array.from({ length: own }, (_, k) => `f${k}`);

/** Declares the registers that splitNear leaves its values in. */
export const fourierRegisters = registers.map((name) => `var ${name}: vec2f;`).join(" ") + " var t: vec2f;";

interface Step {
  readonly level: number;
  readonly steps: number;
}

/** The steps of a subtree. */
function nearSteps({ near }: FourierPlan): Step[] {
  let level = 0;
  return thirds(near).map((steps) => ({ level: (level += steps) - steps, steps }));
}

/** For each register the text that `body` makes of its name, with `pos` in the subtree and channel `c` of the block there. */
function eachRegister(
  { near, channels, threads }: FourierPlan,
  { level, steps }: Step,
  body: (f: readonly string[]) => string,
): string {
  const each = 2 ** steps;
  const span = near - level - steps; // as a power of two
  return Array.from({ length: own / each }, (_, set) => {
    return /* wgsl */ `{
  let item = lane + ${set * threads}u;
  let c = item % ${channels}u;
  let node = (item / ${channels}u) >> ${span}u;
  let first = (node << ${near - level}u) + ((item / ${channels}u) & ${2 ** span - 1}u);
  ${body(registers.slice(set * each, (set + 1) * each))}
}`;
  }).join("\n");
}

const span = ({ near }: FourierPlan, { level, steps }: Step) => 2 ** (near - level - steps);

/** Workgroup memory for the exchanges; positions are permuted so that few share a bank. */
export function nearMemory(plan: FourierPlan): string {
  if (nearSteps(plan).length === 1) return "";
  return /* wgsl */ `
var<workgroup> near: array<vec2f, ${plan.channels << plan.near}>;
fn place(at: u32, c: u32) -> u32 { return (at ^ ((at >> 3u) & 7u)) * ${plan.channels}u + c; }`;
}

/**
 * A subtree, down: its values are left in the registers. \`subtree\`: its index among those of its level; load(at, c): the
 * number at position \`at\` of channel \`c\` of the block. \`again\`: it is not the first use of workgroup memory.
 */
export function splitNear(
  plan: FourierPlan,
  subtree: string,
  load: (at: string, c: string) => string,
  again = false,
): string {
  const steps = nearSteps(plan);
  const top = plan.levels - plan.near;
  return steps
    .map((step, k) => {
      const { text, names } = rootsOf(top + step.level, step.steps, "q");
      const at = (i: number) => `first + ${i * span(plan, step)}u`;
      const last = k === steps.length - 1;
      return [
        k > 0 || (again && !last) ? "workgroupBarrier();" : "",
        eachRegister(plan, step, (f) =>
          [
            `let q = (${subtree} << ${step.level}u) + node;`,
            ...f.map((name, i) => `${name} = ${k === 0 ? load(at(i), "c") : `near[place(${at(i)}, c)]`};`),
            text,
            butterflies(f, names, false),
            ...(last ? [] : f.map((name, i) => `near[place(${at(i)}, c)] = ${name};`)),
          ].join("\n"),
        ),
      ].join("\n");
    })
    .join("\n");
}

/** Positions of one channel, ascending, and what belongs there. */
export type Places = readonly { readonly at: string; readonly value: string }[];

/** The way back, from the registers to store(places, c). */
export function joinNear(
  plan: FourierPlan,
  subtree: string,
  store: (places: Places, c: string) => string,
): string {
  const steps = nearSteps(plan);
  const top = plan.levels - plan.near;
  return steps
    .map((step, k) => {
      const { text, names } = rootsOf(top + step.level, step.steps, "q");
      const at = (i: number) => `first + ${i * span(plan, step)}u`;
      const last = k === steps.length - 1;
      return [
        last ? "" : "workgroupBarrier();",
        eachRegister(plan, step, (f) =>
          [
            `let q = (${subtree} << ${step.level}u) + node;`,
            ...(last ? [] : f.map((name, i) => `${name} = near[place(${at(i)}, c)];`)),
            text,
            butterflies(f, names, true),
            ...(k === 0
              ? [
                  store(
                    f.map((value, i) => ({ at: at(i), value })),
                    "c",
                  ),
                ]
              : f.map((name, i) => `near[place(${at(i)}, c)] = ${name};`)),
          ].join("\n"),
        ),
      ].join("\n");
    })
    .reverse()
    .join("\n");
}

/** Text for the registers after splitNear, with their positions and channel. */
export function eachValue(plan: FourierPlan, body: (places: Places, c: string) => string): string {
  const steps = nearSteps(plan);
  const step = steps[steps.length - 1];
  return eachRegister(plan, step, (f) =>
    body(
      f.map((value, i) => ({ at: `first + ${i * span(plan, step)}u`, value })),
      "c",
    ),
  );
}

/** The body for each place, one after the other. */
export function each(places: Places, body: (at: string, value: string) => string): string {
  return places.map(({ at, value }) => body(at, value)).join("\n");
}

/**
 * The body for each place before \`length\`. The branches are in each other, not in a row: drivers may take time
 * exponential in the branches in a row of a loop's body to compile it.
 */
export function eachBefore(
  length: string,
  places: Places,
  body: (at: string, value: string) => string,
): string {
  return places.reduceRight(
    (inner, { at, value }) => `if (${at} < ${length}) { ${body(at, value)}\n${inner} }`,
    "",
  );
}

/** Channels that lie side by side in a far pass: with four positions a whole sector, in both layouts. */
const abreast = 8;

/** Workgroups of a far pass over `rows` sequences of `channels` channels. */
export function farWorkgroups(
  { levels, far }: FourierPlan,
  index: number,
  sequences: number,
  channels: number,
): number {
  const columns = 2 ** (levels - far[index]);
  return Math.ceil((sequences * Math.ceil(channels / abreast) * abreast * columns) / size);
}

/**
 * One far pass, down or up: an invocation has the 2^steps numbers of a column. `load` and `store` are given position,
 * channel c of `chunkChannels` and sequence b.
 */
export function farPass(
  { levels, far }: FourierPlan,
  index: number,
  up: boolean,
  load: (at: string) => string,
  store: (at: string, value: string) => string,
): string {
  const steps = far[index];
  const level = far.slice(0, index).reduce((sum, x) => sum + x, 0);
  const below = levels - level - steps; // span, as a power of two
  const f = registers.slice(0, 2 ** steps);
  const { text, names } = rootsOf(level, steps, "node");
  const at = (i: number) => `first + ${i * 2 ** below}u`;
  return /* wgsl */ `
fn run(group: u32, lane: u32) {
  let item = group * ${size}u + lane;
  let column = (item / ${abreast}u) & ${2 ** (levels - steps) - 1}u;
  let rest = (item / ${abreast}u) >> ${levels - steps}u;
  let blocks = (chunkChannels + ${abreast - 1}u) / ${abreast}u;
  let c = (rest % blocks) * ${abreast}u + item % ${abreast}u;
  let b = rest / blocks;
  if (c >= chunkChannels || b >= chunkBatch) { return; }
  let node = column >> ${below}u;
  let first = (node << ${levels - level}u) + (column & ${2 ** below - 1}u);
  ${fourierRegisters}
  ${f.map((name, i) => `${name} = ${load(at(i))};`).join("\n")}
  ${text}
  ${butterflies(f, names, up)}
  ${f.map((name, i) => store(at(i), name)).join("\n")}
}`;
}
