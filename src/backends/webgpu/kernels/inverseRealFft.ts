/**
 * Fourier transforms of any length N as convolutions with a chirp (Bluestein): with c_k = e^(iπk²/N) is
 * e^(2πi jt/N) = c_j c_t c̄_(t−j), so it takes two transforms of fourier.ts of M ≥ 2N − 1 numbers. The chirp's is made once for
 * all rows; then a workgroup has a row. Backward is the same sum: the gradients are real, so conjugated.
 * Traffic: X and y, and the chirp, 2 M floats, from the cache; where M exceeds a workgroup the far passes of fourier.ts, 4
 * floats a number each, in chunks of rows. For many rows of a length 2^k a transform of that length would take a quarter.
 */
import type { Gpu, KernelCall, KernelSet, Pass, Schedule } from "../kernel.ts";
import { cis } from "./complexMath.ts";
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
  rootsPass,
  splitNear,
} from "./fourier.ts";
import { into } from "./library.ts";
import { DeviceError } from "../../../tensor/errors.ts";

/** From here on the chirp's k² would not fit the 32-bit numbers it is made of. */
const longest = 2 ** 20;

/** chirp(k) = c_k for k < N < 2²⁰: k² modulo 2N, then its quotient by 2N to 32 bits. */
const chirpAt = /* wgsl */ `${cis}
fn chirpAt(k: u32) -> vec2f {
  let around = 2u * length;
  var rest = ((((k * (k >> 10u)) % around) << 10u) + k * (k & 1023u)) % around;
  var turn = 0u;
  for (var i = 0; i < 4; i++) {
    rest <<= 8u;
    turn = (turn << 8u) | (rest / around);
    rest %= around;
  }
  return cis(turn);
}`;

/** Number `at` of c̄ over −N … N, as a polynomial modulo x^M − i: x^−k = −i x^(M − k). Over M, as join is M times the way back. */
const chirp = ({ levels }: FourierPlan) => /* wgsl */ `${chirpAt}
fn tapAt(at: u32) -> vec2f {
  let back = ${2 ** levels}u - at;
  var tap = vec2f(0.0);
  if (at < length) { tap = conjugate(chirpAt(at)); }
  else if (back < length) { tap = -quarter(conjugate(chirpAt(back))); }
  return ${2 ** -levels} * tap;
}`;

const rowsOf = /* wgsl */ `
fn valueAt(at: u32, c: u32) -> vec2f {
  let j = min(at, length - min(at, length)); // X of the second half is that of the first, conjugated
  let x = X[(chunkChannel + min(c, chunkChannels - 1u)) * (length / 2u + 1u) + j];
  let end = (j == 0u) | (2u * j == length);
  let y = select(x.y, 0.0, end);
  let value = times(chirpAt(min(at, length - 1u)), vec2f(x.x, select(y, -y, at > j))) / f32(length);
  return select(vec2f(0.0), value, at < length);
}`;

const slopesOf = /* wgsl */ `
fn valueAt(at: u32, c: u32) -> vec2f {
  let x = d_y[(chunkChannel + min(c, chunkChannels - 1u)) * length + min(at, length - 1u)];
  return select(vec2f(0.0), x / f32(length) * chirpAt(min(at, length - 1u)), at < length);
}`;

function passesOf(call: KernelCall, gpu: Gpu, backward: boolean): Schedule {
  const { rows, length } = call.sizes;
  if (length >= longest) {
    throw new DeviceError(
      `webgpu: inverseRealFft must be shorter than ${longest}, got ${length}. Use another device, or a shorter filter.`,
    );
  }
  const plan = fourierPlan(2 * length - 1, 1, gpu);
  const { levels, near, far, threads } = plan;
  const subtrees = 2 ** (levels - near);
  const long = far.length > 0;
  const offset = `(subtree << ${near}u) + `;
  const [from, to] = backward ? ["d_y", "d_X: vec2f"] : ["X: vec2f", "y"];
  const functions = `${fourierFunctions}${chirpAt}${backward ? slopesOf : rowsOf}`;
  const limit = backward ? "(length / 2u + 1u)" : "length";
  const give = (row: string, at: string, value: string) =>
    backward
      ? `d_X[${row} * (length / 2u + 1u) + ${at}] ${into(call.adds("d_X"))} select(2.0, 1.0, (${at} == 0u) | (2u * (${at}) == length)) * conjugate(times(chirpAt(${at}), ${value}));`
      : `y[${row} * length + ${at}] = times(chirpAt(${at}), ${value}).x;`;
  const chirpRow = (at: string) => `chirps[${at}]`;
  const longRow = (at: string, c: string) => `long[(${c} << ${levels}u) + ${at}]`;

  const one = { chunkChannel: 0, chunkChannels: 1, chunkBatch: 1 };
  const chirpPasses: Pass[] = far.map((_, k) => ({
    reads: ["roots: vec2f"],
    writes: ["chirps: vec2f"],
    workgroups: farWorkgroups(plan, k, 1, 1),
    numbers: one,
    code: `${fourierFunctions}${k === 0 ? chirp(plan) : ""}${farPass(
      plan,
      k,
      false,
      (at) => (k === 0 ? `tapAt(${at})` : chirpRow(at)),
      (at, value) => `${chirpRow(at)} = ${value};`,
    )}`,
  }));
  chirpPasses.push({
    reads: ["roots: vec2f"],
    writes: ["chirps: vec2f"],
    workgroups: subtrees,
    workgroupSize: threads,
    code: /* wgsl */ `${fourierFunctions}${long ? "" : chirp(plan)}${nearMemory(plan)}
fn run(subtree: u32, lane: u32) {
  ${fourierRegisters}
  ${splitNear(plan, "subtree", (at) => (long ? chirpRow(`${offset}${at}`) : `tapAt(${at})`))}
  ${eachValue(plan, (places) => each(places, (at, value) => `${chirpRow(`${offset}${at}`)} = ${value};`))}
}`,
  });

  const apart = Math.max(1, Math.min(rows, long ? fourierScratch(gpu) >> levels : rows));
  const passes = Array.from({ length: Math.ceil(rows / apart) }, (_, i) => {
    const numbers = {
      chunkChannel: i * apart,
      chunkChannels: Math.min(apart, rows - i * apart),
      chunkBatch: 1,
    };
    const farOf = (k: number, up: boolean): Pass => ({
      reads: [...(!up && k === 0 ? [from] : []), "roots: vec2f"],
      writes: ["long: vec2f", ...(up && k === 0 ? [to] : [])],
      workgroups: farWorkgroups(plan, k, 1, numbers.chunkChannels),
      numbers,
      code: `${k > 0 ? fourierFunctions : up ? fourierFunctions + chirpAt : functions}${farPass(
        plan,
        k,
        up,
        (at) => (k === 0 && !up ? `valueAt(${at}, c)` : longRow(at, "c")),
        (at, value) =>
          k === 0 && up
            ? `if (${at} < ${limit}) { ${give("(chunkChannel + c)", `(${at})`, value)} }`
            : `${longRow(at, "c")} = ${value};`,
      )}`,
    });
    const inner: Pass = {
      reads: [...(long ? [] : [from]), "chirps: vec2f", "roots: vec2f"],
      writes: long ? ["long: vec2f"] : [to],
      workgroups: numbers.chunkChannels * subtrees,
      workgroupSize: threads,
      numbers,
      code: /* wgsl */ `${long ? fourierFunctions : functions}${nearMemory(plan)}
fn run(group: u32, lane: u32) {
  let subtree = group % ${subtrees}u;
  let row = group / ${subtrees}u;
  ${fourierRegisters}
  ${splitNear(plan, "subtree", (at) => (long ? longRow(`${offset}${at}`, "row") : `valueAt(${at}, row)`))}
  ${eachValue(plan, (places) => each(places, (at, value) => `${value} = times(${value}, ${chirpRow(`${offset}${at}`)});`))}
  ${joinNear(plan, "subtree", (places) =>
    long
      ? each(places, (at, value) => `${longRow(`${offset}${at}`, "row")} = ${value};`)
      : eachBefore(limit, places, (at, value) => give("(chunkChannel + row)", `(${at})`, value)),
  )}
}`,
    };
    return [...far.map((_, k) => farOf(k, false)), inner, ...far.map((_, k) => farOf(k, true)).reverse()];
  });
  const size = 2 ** (levels + 1);
  return {
    passes: [rootsPass(plan), ...chirpPasses, ...passes.flat()],
    scratch: { roots: size, chirps: size, ...(long && { long: apart * size }) },
  };
}

export const inverseRealFft: KernelSet = {
  dynamic: ["length"],
  forward: (call, gpu) => passesOf(call, gpu, false),
  backward: (call, gpu) => passesOf(call, gpu, true),
};
