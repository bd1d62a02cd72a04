/**
 * One step of a selective scan and the product of what it gives, for one sequence. A workgroup has 128 channels and 128
 * columns of the product: its lines of the weight, which nothing is needed for, are on their way while it makes the
 * channels, and so the scan takes little time of its own. The channels are made again by every workgroup that has other columns;
 * so the states go to a buffer of their own, as others may still read the old ones, and the product comes in parts, one
 * from each 128 channels. Traffic: the weight, dtProj, logA, the state twice; what others make again from the caches: wrong
 * where the product has many columns.
 */
import { bytesPerNumber } from "../../../tensor/backend.ts";
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";
import { log1p, pinned, softplus, sumText, weightAt, weightBinding } from "./library.ts";
import { list, moved, rowText, turnsOf } from "./stepText.ts";

/** Channels, and columns, of a workgroup. */
export const slabChannels = 128;

const size = 256;

/** Lanes with four channels, or four columns, each; and how many share them. */
const lanes = slabChannels / 4;
const sharers = size / lanes;
const perSharer = slabChannels / sharers;

const selectiveProjectForward: Kernel = (call) => {
  const { dInner, dState, dtRank, parts, columns } = call.sizes;
  const [skip, bias, residual] = ["D", "deltaBias", "residual"].map((name) => call.has(name));
  const projected = rowText(parts, dtRank + 2 * dState, size);
  const ranks = turnsOf(dtRank, sharers, "r");
  const states = turnsOf(dState, sharers, "n");
  const across = columns / slabChannels;
  const given = ["D", "deltaBias", "residual"].filter((name) => call.has(name));
  const first = `(slab * ${slabChannels}u + sharer * ${perSharer}u)`;
  const loads: (readonly [string, string])[] = [
    ...ranks(({ index, i }) => [`w${i}`, `dtProj_at(${index} * ${dInner / 4}u + d)`] as const),
    ...states(({ index, i }) => [`a${i}`, `logA[${index} * ${dInner / 4}u + d]`] as const),
    ...states(({ index, i }) => [`h${i}`, `state[${index} * ${dInner / 4}u + d]`] as const),
    ["input", "u[d]"],
    ["gate", "z[d]"],
    ["deltaStart", bias ? "deltaBias[d]" : "vec4f(0.0)"],
    ...(skip ? [["skipped", "D[d]"] as const] : []),
    ["before", residual ? "residual[column]" : "vec4f(0.0)"],
    ...Array.from(
      { length: perSharer },
      (_, k) => [`line${k}`, `weight_at((${first} + ${k}u) * ${columns / 4}u + column)`] as const,
    ),
  ];
  return onePass({
    reads: [
      "u: vec4f",
      projected.binding,
      weightBinding("dtProj", call.dtype("dtProj"), true),
      "logA: vec4f",
      "z: vec4f",
      "state: vec4f",
      weightBinding("weight", call.dtype("weight"), true),
      ...given.map((name) => `${name}: vec4f`),
    ],
    writes: ["next_state: vec4f", "y: vec4f"],
    workgroups: (dInner / slabChannels) * across,
    workgroupSize: size,
    bytes: moved(call) + bytesPerNumber[call.dtype("weight")] * call.length("weight") + 4 * call.length("y"),
    operations: dInner * (dState * 8 + 2 * dtRank + 2 * columns),
    code: /* wgsl */ `${log1p}${softplus}${weightAt("dtProj", call.dtype("dtProj"), true)}${weightAt("weight", call.dtype("weight"), true)}
${projected.declarations}
var<workgroup> own: array<vec4f, ${size}>;
var<workgroup> others: array<vec4f, ${size}>;
var<workgroup> made: array<vec4f, ${lanes}>;
fn run(group: u32, lane: u32) {
  let slab = group / ${across}u;
  let x = lane % ${lanes}u;
  let sharer = lane / ${lanes}u;
  let d = slab * ${lanes}u + x;
  let column = (group % ${across}u) * ${lanes}u + x;
  ${projected.ahead("0u")}
  ${pinned(`slab < ${dInner / slabChannels}u`, "vec4f", loads)}

  ${projected.statements("0u")}

  var product = vec4f(0.0);
  ${ranks(({ index, i, guard }) => guard(`product = fma(vec4f(${projected.at(index)}), w${i}, product);`)).join("\n  ")}
  own[lane] = product;
  workgroupBarrier();
  let delta = deltaStart + ${sumText(sharers, (i) => `own[x + ${i * lanes}u]`)};
  let step = select(softplus(delta), delta, delta > vec4f(20.0));
  var output = vec4f(0.0);
  ${states(({ index, i, guard }) =>
    guard(`{
    let h = fma(exp(-step * exp(a${i})), h${i}, step * ${projected.at(`${dtRank}u + ${index}`)} * input);
    if (group % ${across}u == 0u) { next_state[${index} * ${dInner / 4}u + d] = h; }
    output = fma(vec4f(${projected.at(`${dtRank + dState}u + ${index}`)}), h, output);
  }`),
  ).join("\n  ")}
  others[lane] = output;
  workgroupBarrier();
  if (sharer == 0u) {
    let whole = ${skip ? "skipped * input + " : ""}${sumText(sharers, (i) => `others[x + ${i * lanes}u]`)};
    made[x] = whole * gate / (1.0 + exp(-gate));
  }
  workgroupBarrier();
  ${list(perSharer / 4, (i) => `let four${i} = made[sharer * ${perSharer / 4}u + ${i}u];`)}
  var total = vec4f(0.0);
  ${list(perSharer, (k) => `total = fma(vec4f(four${k >> 2}[${k & 3}]), line${k}, total);`)}
  own[lane] = total;
  workgroupBarrier();
  if (sharer == 0u) {
    let part = ${sumText(sharers, (i) => `own[x + ${i * lanes}u]`)};
    y[slab * ${columns / 4}u + column] = select(part, part + before, slab == 0u);
  }
}`,
  });
};

export const selectiveProject: KernelSet = { forward: selectiveProjectForward };
