/** What a workgroup of the selective scan's way back takes at once, and how it adds up what several invocations have of it. */
import { DeviceError } from "../../../tensor/errors.ts";
import type { Gpu, KernelCall } from "../kernel.ts";
import { chunkSteps, each, type Share, shareOf, turnStride, within } from "./selectiveScanParts.ts";
import type { Work } from "./work.ts";

/** Steps that an invocation goes back through at once, with what they need in registers. */
export const fewSteps = 4;

/** How a workgroup goes through 16 steps: whether the rows of B and C lie in its memory, and steps between two summings. */
export interface Tile {
  readonly share: Share;
  readonly rows: boolean;
  readonly steps: number;
  /**
   * Whether what goes to B and C is first added up over four neighbours, without workgroup memory. Each has its four states
   * in another order then, n ^ turn, and the rows lie there in all four: so the sum needs no choice of what to exchange.
   */
  readonly quads: boolean;
}

/** Numbers, or vectors, between the parts of neighbouring lanes: many summed up side by side are in different banks. */
export function strideOf({ channels }: Share, quads: boolean): number {
  if (channels < 8) return channels;
  return channels + (quads ? 4 : 1);
}

/** Numbers, or vectors, that a workgroup has for what one step gives to B, or to C. */
export function partsOfStep({ share, quads }: Tile): number {
  return share.inside ? share.size + 16 : share.lanes * strideOf(share, quads);
}

/** Numbers between what two steps have in `sums`, where those of the lanes are added up already. */
const sumsStride = ({ channels }: Share): number => channels + 8;

/** Declares `sums`: what each step of a channel gives to the gradients of u, Δ and z; for each lane, or added up. */
export function sumsText({ share, steps }: Tile): string {
  return share.inside
    ? `var<workgroup> sums: array<f32, ${3 * chunkSteps * sumsStride(share)}>;`
    : `var<workgroup> sums: array<vec4f, ${steps * share.size}>;`;
}

export function tileOf(call: KernelCall, gpu: Gpu): Tile {
  const most = Math.min(gpu.workgroupBytes, 48 * 1024) - 256;
  const rows = call.sizes.dState <= 32;
  for (let invocations = Math.min(256, gpu.invocations); invocations >= 1; invocations /= 2) {
    const share = shareOf(call, 1, invocations, gpu);
    if (share.vectors > 1) break;
    const { size, channels, lanes, inside } = share;
    const quads = gpu.subgroups !== null && gpu.subgroups.least >= 4 && channels >= 4;
    const tile = { share, rows, quads, steps: 0 };
    const sums = inside ? 12 * chunkSteps * sumsStride(share) : 0;
    const fixed =
      8 * size +
      sums +
      20 * chunkSteps * channels +
      (rows ? 32 * (quads ? 4 * turnStride(lanes, chunkSteps) : lanes * chunkSteps) : 0);
    const perStep = (inside ? 0 : 16 * size) + (quads ? 8 : 32) * partsOfStep(tile);
    const steps = (inside ? [16, 8, 4] : [4, 2, 1]).find((count) => fixed + count * perStep <= most);
    if (steps && (steps > 1 || channels <= 8)) return { ...tile, steps };
  }
  throw new DeviceError(
    `webgpu: a scan with gradients has at most ${4 * Math.min(256, gpu.invocations)} states, got ${call.sizes.dState}`,
  );
}

/** Puts into `sums` what the four steps from 4q on give: lane s that of step 4q + s, from what shuffles bring it. */
export function putSums({ share }: Tile): string {
  const stride = sumsStride(share);
  return ["x", "y", "z"]
    .map((part, j) => {
      const own = [0, 1, 2, 3].map((k) => `sum${k}.${part}`).join(", ");
      return `sums[(${fewSteps}u * q + s) * ${3 * stride}u + ${j * stride}u + c] = sumOfLanes(vec4f(${own}), s);`;
    })
    .join("\n      ");
}

/** The gradients of each step and channel. */
const perCell = ["u", "delta", "z"] as const;

/** Whether they are all asked for and none is added to what is there, as in a training step. */
const asInTraining = (call: KernelCall) =>
  perCell.every((name) => call.has(`d_${name}`) === call.has(name) && !call.adds(`d_${name}`));

/**
 * How each is put into its buffer where it is otherwise: 0 not at all, 1 over what is there, 2 added to it. As numbers,
 * for one pipeline; the branches take a sixth of the kernel's time (H100).
 */
export function putNumbers(call: KernelCall): Record<string, number> {
  if (asInTraining(call)) return {};
  const how = (name: string) => (call.has(name) ? (call.adds(name) ? 2 : 1) : 0);
  return Object.fromEntries(perCell.map((name) => [`put_${name}`, how(`d_${name}`)]));
}

function putText(call: KernelCall, name: (typeof perCell)[number], value: string): string {
  const to = `d_${name}[at]`;
  if (asInTraining(call)) return `${to} = ${value};`;
  return `if (put_${name} == 1u) { ${to} = ${value}; } else if (put_${name} == 2u) { ${to} += ${value}; }`;
}

/**
 * Finishes the gradients of `steps` steps from `from_` on, of what the states of a channel give to each, added up; an
 * invocation has every lanes-th cell of a channel.
 */
export function finishCells(call: KernelCall, work: Work, { share }: Tile, steps: number): string {
  const { channels, lanes, size, inside } = share;
  const stride = sumsStride(share);
  const summed = inside
    ? `let sum = vec3f(${[0, 1, 2].map((j) => `sums[i * ${3 * stride}u + ${j * stride}u + cellC]`).join(", ")});`
    : `var sum = vec4f(0.0);
        for (var l = 0u; l < ${lanes}u; l++) { sum += sums[i * ${size}u + l * ${channels}u + cellC]; }`;
  const dGate = "factor.y * fma(skip, cell.y, sum.x)";
  const gate = work.has("gates")
    ? `${work.at("gates", "at")} = ${dGate};`
    : call.has("z")
      ? putText(call, "z", dGate)
      : "";
  return each(Math.ceil(steps / lanes), (k) => {
    const i = within(`(cellS + ${k * lanes}u)`, steps, (k + 1) * lanes);
    const there = (k + 1) * lanes > steps ? `cellS + ${k * lanes}u < ${steps}u && ` : "";
    return /* wgsl */ `      if (${there}from_ + cellS + ${k * lanes}u < count && cellMine) {
        let i = ${i};
        let t = (from_ + i) % ${chunkSteps}u;
        let at = (b * length + begin + t) * dInner + cellD;
        let cell = cells[t * ${channels}u + cellC];
        let pull = pulls[t * ${channels}u + cellC];
        let factor = factors[t * ${channels}u + cellC];
        ${summed}
        let dStep = fma(cell.y, sum.y, ${Math.LN2} * sum.z) * factor.x;
        ${putText(call, "u", "fma(skip, pull, cell.x * sum.y)")}
        ${putText(call, "delta", "dStep")}
        ${gate}
        dSkip = fma(cell.y, pull, dSkip);
        dBias += dStep;
      }`;
  });
}

/**
 * Of four vectors of four neighbours, each in the order n ^ turn, each neighbour gets the sum of its first components: two
 * halves are exchanged, then two quarters. Neighbours in the workgroup are neighbours in the subgroup, on every GPU known.
 */
export const sumOfQuad = /* wgsl */ `
fn sumOfQuad(v: vec4f) -> f32 {
  let pair = v.xz + subgroupShuffleXor(v.yw, 1u);
  return pair.x + subgroupShuffleXor(pair.y, 2u);
}`;

/** Of the vectors of a channel's four lanes, lane s gets the sum of the s-th components. */
export const sumOfLanes = /* wgsl */ `
fn sumOfLanes(v: vec4f, s: u32) -> f32 {
  let high = s >= 2u;
  let pair = select(v.xy, v.zw, high) + subgroupShuffleXor(select(v.zw, v.xy, high), 8u);
  let odd = s % 2u == 1u;
  return select(pair.x, pair.y, odd) + subgroupShuffleXor(select(pair.y, pair.x, odd), 4u);
}`;

/** Adds up what the channels give to the rows of B and C. An invocation has one number at a time. */
export function sumRows(tile: Tile, work: Work): string {
  const { share, steps, quads } = tile;
  const { channels, lanes, size, perBlocks, inside } = share;
  const terms = quads ? channels / 4 : channels;
  const all = 8 * lanes * steps;
  const rounds = Math.ceil(all / size);
  const reach = rounds * size;
  // Number i: which of B and C, which step, which state; those of a step lie together where lanes are neighbours.
  const place = inside
    ? { n: "i % 16u", step: `i / 32u % ${steps}u`, which: "i / 16u % 2u" }
    : {
        n: `i / 4u % ${lanes}u * 4u + i % 4u`,
        step: `i / ${4 * lanes}u % ${steps}u`,
        which: `i / ${4 * lanes * steps}u`,
      };
  const first = inside
    ? `${within("i / 16u", all / 16, reach / 16)} * ${partsOfStep(tile)}u + i % 16u`
    : `${within("i / 4u", all / 4, reach / 4)} * ${strideOf(share, quads)}u`;
  const term = inside
    ? "parts[at + 16u * j]"
    : quads
      ? "parts[at + 4u * j + i % 4u]"
      : "parts[at + j][i % 4u]";
  return /* wgsl */ `      for (var r = 0u; r < ${rounds}u; r++) {
        let i = own + r * ${size}u;
        let n = ${place.n};
        let t = from_ + ${place.step};
        if (i < ${all}u && t < count && n < dState) {
          let at = ${first};
          var sum = 0.0;
          for (var j = 0u; j < ${terms}u; j++) { sum += ${term}; }
          let line = ((b * length + begin + t) * groups * ${perBlocks}u + block) * 2u + ${place.which};
          ${work.at("sumsBC", "line * dState + n")} = sum;
        }
      }`;
}
