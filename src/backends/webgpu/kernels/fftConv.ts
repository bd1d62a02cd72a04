/**
 * Long convolution as products of the transforms of fourier.ts. The spectra of the filters, with D and the future as part
 * of their polynomials, are made once for all sequences; then a workgroup has a few channels of a sequence: it transforms
 * them, multiplies and comes back, all in fast memory. Traffic: u, y, and the spectra, 2 floats a number, from the cache.
 * Where a transform does not fit a workgroup (2048 numbers, 4096 on devices with 32 KiB), far passes of up to three levels
 * go before and after, each 4 floats a number more. Sequences then go in chunks, so that scratch stays below 64 MiB.
 * Parallel over batch · channels · length / 2048. The backward pass is in fftConvBackward.ts.
 */
import type { Gpu, KernelCall, KernelSet, Pass } from "../kernel.ts";
import { fftConvBackward } from "./fftConvBackward.ts";
import {
  each,
  eachBefore,
  eachValue,
  farPass,
  farWorkgroups,
  fourierFunctions,
  type FourierPlan,
  fourierPlan,
  fourierRegisters,
  fourierScratch,
  joinNear,
  nearMemory,
  type Places,
  rootsPass,
  splitNear,
} from "./fourier.ts";

/** A part of the work: all of it unless it is too much for the scratch buffers. */
export interface Chunk {
  readonly [name: string]: number;
  readonly chunkChannel: number;
  readonly chunkChannels: number;
  readonly chunkSequence: number;
  readonly chunkBatch: number;
}

/** Channels go in chunks for the spectra, and then sequences for the long transforms themselves. */
export function chunksOf(
  { sizes: { batch, channels } }: KernelCall,
  plan: FourierPlan,
  most: number,
): Chunk[][] {
  const rows = Math.max(1, most >> plan.levels);
  const apart = rows >= channels ? channels : rows >= 8 ? rows - (rows % 8) : rows;
  return Array.from({ length: Math.ceil(channels / apart) }, (_, i) => {
    const chunkChannels = Math.min(apart, channels - i * apart);
    const sequences = plan.far.length === 0 ? batch : Math.max(1, Math.floor(rows / chunkChannels));
    return Array.from({ length: Math.ceil(batch / sequences) }, (_, j) => ({
      chunkChannel: i * apart,
      chunkChannels,
      chunkSequence: j * sequences,
      chunkBatch: Math.min(sequences, batch - j * sequences),
    }));
  });
}

/** The number of position `at` of a signal (batch, length, channels), 0 beyond its end; without a branch, see eachBefore. */
export function signal(name: string): string {
  return /* wgsl */ `
fn ${name}At(b: u32, at: u32, c: u32) -> vec2f {
  let row = (chunkSequence + b) * length + min(at, length - 1u);
  let x = ${name}[row * channels + chunkChannel + min(c, chunkChannels - 1u)];
  return vec2f(select(0.0, x, (at < length) & (c < chunkChannels)), 0.0);
}`;
}

/** The polynomial of a filter: x^−s = −i x^(M − s) for the future. Over M, because join is M times the way back. */
const polynomial = (call: KernelCall, { levels }: FourierPlan) => /* wgsl */ `
fn tapAt(at: u32, c: u32) -> vec2f {
  if (c >= chunkChannels) { return vec2f(0.0); }
  let channel = chunkChannel + c;
  var tap = vec2f(0.0);
  if (at < min(filterLength, length)) { tap.x = filter_[channel * filterLength + at]; }
  ${call.has("D") ? "if (at == 0u) { tap.x += D[channel]; }" : ""}
  ${
    call.has("future")
      ? `let s = ${2 ** levels - 1}u - at;
  if (s < futureLength && s + 1u < length) { tap.y = -future[channel * futureLength + s]; }`
      : ""
  }
  return ${2 ** -levels} * tap;
}`;

/** Passes that make `spectra`, (chunkChannels, M). */
export function spectraPasses(call: KernelCall, plan: FourierPlan, numbers: Chunk): Pass[] {
  const { levels, near, channels: together, far, threads } = plan;
  const filters = ["filter_", ...["D", "future"].filter((name) => call.has(name))];
  const row = (at: string, c: string) => `spectra[(${c} << ${levels}u) + ${at}]`;
  const subtrees = 2 ** (levels - near);
  const chunkChannels = numbers.chunkChannels;
  const own = { ...numbers, chunkBatch: 1 };
  const fars = far.map((_, k): Pass => {
    const load = (at: string) => (k === 0 ? `tapAt(${at}, c)` : row(at, "c"));
    return {
      reads: [...(k === 0 ? filters : []), "roots: vec2f"],
      writes: ["spectra: vec2f"],
      workgroups: farWorkgroups(plan, k, 1, chunkChannels),
      numbers: own,
      code: `${fourierFunctions}${k === 0 ? polynomial(call, plan) : ""}
${farPass(plan, k, false, load, (at, value) => `${row(at, "c")} = ${value};`)}`,
    };
  });
  const inside = far.length > 0;
  const offset = inside ? `(subtree << ${near}u) + ` : "";
  const load = (at: string, c: string) =>
    inside
      ? row(`${offset}${at}`, `min(block * ${together}u + ${c}, chunkChannels - 1u)`)
      : `tapAt(${at}, block * ${together}u + ${c})`;
  return [
    ...fars,
    {
      reads: [...(inside ? [] : filters), "roots: vec2f"],
      writes: ["spectra: vec2f"],
      workgroups: Math.ceil(chunkChannels / together) * subtrees,
      workgroupSize: threads,
      numbers: own,
      code: /* wgsl */ `${fourierFunctions}${inside ? "" : polynomial(call, plan)}${nearMemory(plan)}
fn run(group: u32, lane: u32) {
  let subtree = group % ${subtrees}u;
  let block = group / ${subtrees}u;
  ${fourierRegisters}
  ${splitNear(plan, "subtree", load)}
  ${eachValue(
    plan,
    (places, c) => `let channel = block * ${together}u + ${c};
  if (channel < chunkChannels) { ${each(places, (at, value) => `${row(`${offset}${at}`, "channel")} = ${value};`)} }`,
  )}
}`,
    },
  ];
}

/** Where number `at` of a long transform is: (chunkBatch, chunkChannels, M). */
export function longRow(name: string, levels: number): (b: string, at: string, c: string) => string {
  return (b, at, c) => `${name}[((${b} * chunkChannels + ${c}) << ${levels}u) + ${at}]`;
}

/** The far passes that take a signal to the subtrees of `scratch`. */
export function farSplits(plan: FourierPlan, name: string, scratch: string, numbers: Chunk): Pass[] {
  const row = longRow(scratch, plan.levels);
  return plan.far.map((_, k) => ({
    reads: [...(k === 0 ? [name] : []), "roots: vec2f"],
    writes: [`${scratch}: vec2f`],
    workgroups: farWorkgroups(plan, k, numbers.chunkBatch, numbers.chunkChannels),
    numbers,
    code: `${fourierFunctions}${k === 0 ? signal(name) : ""}
${farPass(
  plan,
  k,
  false,
  (at) => (k === 0 ? `${name}At(b, ${at}, c)` : row("b", at, "c")),
  (at, value) => `${row("b", at, "c")} = ${value};`,
)}`,
  }));
}

/** The far passes from there back to a signal, `=` or `+=`. */
export function farJoins(
  plan: FourierPlan,
  scratch: string,
  name: string,
  put: string,
  numbers: Chunk,
): Pass[] {
  const row = longRow(scratch, plan.levels);
  return plan.far
    .map((_, k): Pass => {
      const store = (at: string, value: string) =>
        k === 0
          ? `if (${at} < length) { ${name}[((chunkSequence + b) * length + ${at}) * channels + chunkChannel + c] ${put} ${value}.x; }`
          : `${row("b", at, "c")} = ${value};`;
      return {
        reads: ["roots: vec2f"],
        writes: [`${scratch}: vec2f`, ...(k === 0 ? [name] : [])],
        workgroups: farWorkgroups(plan, k, numbers.chunkBatch, numbers.chunkChannels),
        numbers,
        code: `${fourierFunctions}${farPass(plan, k, true, (at) => row("b", at, "c"), store)}`,
      };
    })
    .reverse();
}

/** The inner part of a convolution: where its workgroup is, and how it loads and stores. */
export function convolveNear(plan: FourierPlan, from: string, to: string, put: string) {
  const { levels, near, channels: together, far } = plan;
  const subtrees = 2 ** (levels - near);
  const inside = far.length > 0;
  const channel = (c: string) => `block * ${together}u + ${c}`;
  const fixed = (c: string) => `min(${channel(c)}, chunkChannels - 1u)`;
  const offset = inside ? `(subtree << ${near}u) + ` : "";
  return {
    where: /* wgsl */ `
  let blocks = (chunkChannels + ${together - 1}u) / ${together}u;
  let subtree = group % ${subtrees}u;
  let block = (group / ${subtrees}u) % blocks;`,
    load: (b: string) => (at: string, c: string) =>
      inside ? longRow(from, levels)(b, `${offset}${at}`, fixed(c)) : `${from}At(${b}, ${at}, ${channel(c)})`,
    store: (b: string) => (places: Places, c: string) => `if (${channel(c)} < chunkChannels) {
    let channel = ${channel(c)};
    ${
      inside
        ? each(places, (at, value) => `${longRow(to, levels)(b, `${offset}${at}`, "channel")} = ${value};`)
        : `let row = ((chunkSequence + ${b}) * length) * channels + chunkChannel + channel;
    ${eachBefore("length", places, (at, value) => `${to}[row + (${at}) * channels] ${put} ${value}.x;`)}`
    }
  }`,
    spectrum: (at: string, c: string) => `spectra[(${fixed(c)} << ${levels}u) + ${offset}${at}]`,
    functions: `${fourierFunctions}${inside ? "" : signal(from)}${nearMemory(plan)}`,
  };
}

function forward(call: KernelCall, gpu: Gpu) {
  const { length, channels } = call.sizes;
  const plan = fourierPlan(length, channels, gpu);
  const long = plan.far.length > 0;
  const [from, to] = long ? ["signals", "signals"] : ["u", "y"];
  const chunks = chunksOf(call, plan, fourierScratch(gpu));
  const { where, load, store, spectrum, functions } = convolveNear(plan, from, to, "=");
  const subtrees = 2 ** (plan.levels - plan.near);
  const convolve = (numbers: Chunk): Pass => ({
    reads: [...(long ? [] : ["u"]), "spectra: vec2f", "roots: vec2f"],
    writes: [long ? "signals: vec2f" : "y"],
    workgroups: numbers.chunkBatch * Math.ceil(numbers.chunkChannels / plan.channels) * subtrees,
    workgroupSize: plan.threads,
    numbers,
    code: /* wgsl */ `${functions}
fn run(group: u32, lane: u32) {
  ${where}
  let b = group / ${subtrees}u / blocks;
  ${fourierRegisters}
  ${splitNear(plan, "subtree", load("b"))}
  ${eachValue(plan, (places, c) => each(places, (at, value) => `${value} = times(${value}, ${spectrum(at, c)});`))}
  ${joinNear(plan, "subtree", store("b"))}
}`,
  });
  const passes = chunks.flatMap((parts) => [
    ...spectraPasses(call, plan, parts[0]),
    ...parts.flatMap((part) => [
      ...farSplits(plan, "u", "signals", part),
      convolve(part),
      ...farJoins(plan, "signals", "y", "=", part),
    ]),
  ]);
  const [{ chunkChannels, chunkBatch }] = chunks[0];
  const scratch = {
    roots: 2 ** (plan.levels + 1),
    spectra: chunkChannels * 2 ** (plan.levels + 1),
    ...(long && { signals: chunkBatch * chunkChannels * 2 ** (plan.levels + 1) }),
  };
  return { passes: [rootsPass(plan), ...passes], scratch };
}

export const fftConv: KernelSet = {
  dynamic: ["batch", "length", "channels", "filterLength", "futureLength"],
  forward,
  backward: fftConvBackward,
};
