/**
 * The backward pass of the long convolution: with û and dŷ the transforms, du comes from dŷ times the conjugate of the
 * filter's, and the filter's gradients from the sum over sequences of conj(û) dŷ. A workgroup goes through a group of
 * sequences with the sum in registers and transforms each but once; a second pass adds the groups in their order and
 * comes back: the first tap is dD too, the negative powers are dfuture.
 * Traffic: u, dy, du, and the sums, 2 floats a tap and group.
 */
import type { Gpu, KernelCall, Pass, Schedule } from "../kernel.ts";
import {
  type Chunk,
  chunksOf,
  convolveNear,
  farJoins,
  farSplits,
  longRow,
  spectraPasses,
} from "./fftConv.ts";
import {
  each,
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
  rootsPass,
  splitNear,
} from "./fourier.ts";
import { into } from "./library.ts";

const registers = Array.from({ length: 8 }, (_, k) => k);

export function fftConvBackward(call: KernelCall, gpu: Gpu): Schedule {
  const { length, channels } = call.sizes;
  const plan = fourierPlan(length, channels, gpu);
  const long = plan.far.length > 0;
  const chunks = chunksOf(call, plan, fourierScratch(gpu));
  const wantsInput = call.has("d_u");
  const wantsFilters = ["d_filter", "d_D", "d_future"].some((name) => call.has(name));
  // A long transform has workgroups enough; else groups of sequences, as many as keep the GPU busy.
  const groupsOf = ({ chunkBatch, chunkChannels }: Chunk) => {
    const blocks = Math.ceil(chunkChannels / plan.channels);
    return long ? 1 : Math.min(chunkBatch, Math.ceil(gpu.parallelism / (blocks * plan.threads)));
  };
  const passes = chunks.flatMap((parts) => [
    ...(wantsInput ? spectraPasses(call, plan, parts[0]) : []),
    ...parts.flatMap((part, k) => [
      ...(wantsFilters ? farSplits(plan, "u", "signals", part) : []),
      ...farSplits(plan, "d_y", "slopes", part),
      correlate(
        call,
        plan,
        { ...part, groups: groupsOf(part), adding: k > 0 ? 1 : 0 },
        wantsInput,
        wantsFilters,
      ),
      ...(wantsInput ? farJoins(plan, "slopes", "d_u", into(call.adds("d_u")), part) : []),
    ]),
    ...(wantsFilters ? gradients(call, plan, { ...parts[0], groups: groupsOf(parts[0]) }) : []),
  ]);
  const [{ chunkChannels, chunkBatch }] = chunks[0];
  const row = 2 ** (plan.levels + 1);
  return {
    passes: [rootsPass(plan), ...passes],
    scratch: {
      roots: row,
      ...(wantsInput && { spectra: chunkChannels * row }),
      ...(wantsFilters && { sums: groupsOf(chunks[0][0]) * chunkChannels * row }),
      ...(long && { slopes: chunkBatch * chunkChannels * row }),
      ...(long && wantsFilters && { signals: chunkBatch * chunkChannels * row }),
    },
  };
}

/** Groups of sequences: du, and the sums of conj(û) dŷ. */
function correlate(
  call: KernelCall,
  plan: FourierPlan,
  numbers: Chunk,
  wantsInput: boolean,
  wantsFilters: boolean,
): Pass {
  const { levels, near, channels: together, threads } = plan;
  const long = plan.far.length > 0;
  const subtrees = 2 ** (levels - near);
  const input = convolveNear(plan, long ? "signals" : "u", "", "=");
  const slope = convolveNear(plan, long ? "slopes" : "d_y", long ? "slopes" : "d_u", into(call.adds("d_u")));
  const own = (at: string, c: string) =>
    `sums[((((group / ${subtrees}u / blocks) * chunkChannels + block * ${together}u + ${c}) << ${levels}u) + (subtree << ${near}u) + ${at})]`;
  const signals = [...(wantsFilters ? ["u"] : []), "d_y"];
  const scratch = [...(wantsFilters ? ["signals: vec2f"] : []), "slopes: vec2f"];
  return {
    reads: [...(long ? [] : signals), ...(wantsInput ? ["spectra: vec2f"] : []), "roots: vec2f"],
    writes: [
      ...(long ? scratch : []),
      ...(wantsInput && !long ? ["d_u"] : []),
      ...(wantsFilters ? ["sums: vec2f"] : []),
    ],
    workgroups: numbers.groups * Math.ceil(numbers.chunkChannels / together) * subtrees,
    workgroupSize: threads,
    numbers,
    code: /* wgsl */ `${slope.functions}
${!long && wantsFilters ? input.functions.slice(input.functions.indexOf("fn uAt")).replace(nearMemory(plan), "") : ""}
fn run(group: u32, lane: u32) {
  ${slope.where}
  let sequences = (chunkBatch + groups - 1u) / groups;
  let begin = (group / ${subtrees}u / blocks) * sequences;
  ${fourierRegisters}
  ${wantsFilters ? registers.map((k) => `var f${k}u: vec2f; var f${k}s = vec2f(0.0);`).join(" ") : ""}
  for (var b = begin; b < min(chunkBatch, begin + sequences); b++) {
    ${
      wantsFilters
        ? `${splitNear(plan, "subtree", input.load("b"), true)}
    ${registers.map((k) => `f${k}u = f${k};`).join(" ")}`
        : ""
    }
    ${splitNear(plan, "subtree", slope.load("b"), true)}
    ${wantsFilters ? registers.map((k) => `f${k}s += times(conjugate(f${k}u), f${k});`).join("\n") : ""}
    ${
      wantsInput
        ? `${eachValue(plan, (places, c) => each(places, (at, value) => `${value} = times(conjugate(${slope.spectrum(at, c)}), ${value});`))}
    ${joinNear(plan, "subtree", slope.store("b"))}`
        : ""
    }
  }
  ${
    wantsFilters
      ? eachValue(
          plan,
          (places, c) => `if (block * ${together}u + ${c} < chunkChannels) {
    if (adding != 0u) { ${each(places, (at, value) => `${value}s += ${own(at, c)};`)} }
    ${each(places, (at, value) => `${own(at, c)} = ${value}s;`)}
  }`,
        )
      : ""
  }
}`,
  };
}

/** From the sums to the gradients of the filters. */
function gradients(call: KernelCall, plan: FourierPlan, numbers: Chunk): Pass[] {
  const { levels, near, channels: together, far, threads } = plan;
  const M = 2 ** levels;
  const long = far.length > 0;
  const subtrees = 2 ** (levels - near);
  const row = longRow("sums", levels);
  const names = ["d_filter", "d_D", "d_future"].filter((name) => call.has(name));
  const put = (name: string) => into(call.adds(name));
  // Beyond the sequence taps have the gradient 0, which need not be added.
  const rest = (name: string, size: string, at: string) =>
    call.adds(name)
      ? ""
      : `for (var s = ${at} + ${M}u; s < ${size}; s += ${M}u) { ${name}[channel * ${size} + s] = 0.0; }`;
  const give = /* wgsl */ `
fn give(at: u32, c: u32, sum: vec2f) {
  let channel = chunkChannel + c;
  if (c >= chunkChannels) { return; }
  let value = ${2 ** -levels} * sum;
  ${
    call.has("d_filter")
      ? `if (at < filterLength) { d_filter[channel * filterLength + at] ${put("d_filter")} select(0.0, value.x, at < length); }
  ${rest("d_filter", "filterLength", "at")}`
      : ""
  }
  ${call.has("d_D") ? `if (at == 0u) { d_D[channel] ${put("d_D")} value.x; }` : ""}
  ${
    call.has("d_future")
      ? `let ahead = ${M - 1}u - at;
  if (ahead < futureLength) { d_future[channel * futureLength + ahead] ${put("d_future")} select(0.0, -value.y, ahead + 1u < length); }
  ${rest("d_future", "futureLength", "ahead")}`
      : ""
  }
}`;
  const own = { ...numbers, chunkBatch: 1 };
  const channel = (c: string) => `block * ${together}u + ${c}`;
  const total = (at: string, c: string) =>
    row("g", `(subtree << ${near}u) + ${at}`, `min(${channel(c)}, chunkChannels - 1u)`);
  const nearPass: Pass = {
    reads: long ? ["roots: vec2f"] : ["roots: vec2f", "sums: vec2f"],
    writes: long ? ["sums: vec2f"] : names,
    workgroups: Math.ceil(numbers.chunkChannels / together) * subtrees,
    workgroupSize: threads,
    numbers: own,
    code: /* wgsl */ `${fourierFunctions}${nearMemory(plan)}${long ? "" : give}
fn run(group: u32, lane: u32) {
  let subtree = group % ${subtrees}u;
  let block = group / ${subtrees}u;
  ${fourierRegisters}
  for (var g = 0u; g < groups; g++) {
    ${eachValue(plan, (places, c) => each(places, (at, value) => `${value} += ${total(at, c)};`))}
  }
  ${joinNear(plan, "subtree", (places, c) =>
    long
      ? `if (${channel(c)} < chunkChannels) {
    ${each(places, (at, value) => `${row("0u", `(subtree << ${near}u) + ${at}`, `(${channel(c)})`)} = ${value};`)}
  }`
      : each(places, (at, value) => `give(${at}, ${channel(c)}, ${value});`),
  )}
}`,
  };
  const fars = far
    .map((_, k): Pass => {
      const store = (at: string, value: string) =>
        k === 0 ? `give(${at}, c, ${value});` : `${row("b", at, "c")} = ${value};`;
      return {
        reads: ["roots: vec2f"],
        writes: ["sums: vec2f", ...(k === 0 ? names : [])],
        workgroups: farWorkgroups(plan, k, 1, numbers.chunkChannels),
        numbers: own,
        code: `${fourierFunctions}${k === 0 ? give : ""}${farPass(plan, k, true, (at) => row("b", at, "c"), store)}`,
      };
    })
    .reverse();
  return [nearPass, ...fars];
}
