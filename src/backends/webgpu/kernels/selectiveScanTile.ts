/** What a workgroup of the selective scan's way back takes at once, and how it adds up what several invocations have of it. */
import { DeviceError } from "../../../tensor/errors.ts";
import type { Gpu, KernelCall } from "../kernel.ts";
import { chunkSteps, each, type Share, shareOf, within } from "./selectiveScanParts.ts";
import type { Work } from "./work.ts";

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

export function tileOf(call: KernelCall, gpu: Gpu): Tile {
  const most = Math.min(gpu.workgroupBytes, 40 * 1024) - 256;
  const rows = call.sizes.dState <= 32;
  for (let invocations = Math.min(256, gpu.invocations); invocations >= 1; invocations /= 2) {
    const share = shareOf(call, 1, invocations);
    if (share.vectors > 1) break;
    const quads = gpu.subgroups !== null && gpu.subgroups.least >= 4 && share.channels >= 4;
    const fixed = chunkSteps * (20 * share.channels + (rows ? 32 * share.lanes * (quads ? 4 : 1) : 0));
    const perStep = 16 * share.size + (quads ? 8 : 32) * share.lanes * strideOf(share, quads);
    const steps = [4, 2, 1].find((count) => fixed + count * perStep <= most);
    if (steps && (steps > 1 || share.channels <= 8)) return { share, rows, steps, quads };
  }
  throw new DeviceError(
    `webgpu: a scan with gradients has at most ${4 * Math.min(256, gpu.invocations)} states, got ${call.sizes.dState}`,
  );
}

/** Adds up what the states of a channel give to a step, and finishes its gradients; lane s has every lanes-th step. */
export function finishCells(call: KernelCall, tile: Tile, split: boolean): string {
  const { channels, lanes, size } = tile.share;
  const has = (name: string) => call.has(name);
  const put = (how: string, name: string, value: string) =>
    `if (${how} == 1u) { ${name}[at] = ${value}; } else if (${how} == 2u) { ${name}[at] += ${value}; }`;
  const rounds = Math.ceil(tile.steps / lanes);
  return each(rounds, (k) => {
    const i = within(`(s + ${k * lanes}u)`, tile.steps, (k + 1) * lanes);
    const there = (k + 1) * lanes > tile.steps ? `s + ${k * lanes}u < ${tile.steps}u && ` : "";
    return /* wgsl */ `      if (${there}from_ + s + ${k * lanes}u < count && mine) {
        let i = ${i};
        let t = (from_ + i) % ${chunkSteps}u;
        let at = (b * length + begin + t) * dInner + d;
        let cell = cells[t * ${channels}u + c];
        let pull = pulls[t * ${channels}u + c];
        let factor = factors[t * ${channels}u + c];
        var sum = vec4f(0.0);
        for (var l = 0u; l < ${lanes}u; l++) { sum += sums[i * ${size}u + l * ${channels}u + c]; }
        let dStep = fma(cell.y, sum.y, sum.z) * factor.x;
        let y = fma(skip, cell.y, sum.x);
        ${put("putU", "d_u", "fma(skip, pull, cell.x * sum.y)")}
        ${put("putDelta", "d_delta", "dStep")}
        ${split ? "gated[at] = y;" : has("z") ? put("putZ", "d_z", "factor.y * y") : ""}
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

/** Adds up what the channels give to the rows of B and C. An invocation has one number at a time. */
export function sumRows({ share, steps, quads }: Tile, work: Work): string {
  const { channels, lanes, size, perBlocks } = share;
  const terms = quads ? channels / 4 : channels;
  const all = 8 * lanes * steps;
  const rounds = Math.ceil(all / size);
  const term = quads ? "parts[at + 4u * j + k]" : "parts[at + j][k]";
  return /* wgsl */ `      for (var r = 0u; r < ${rounds}u; r++) {
        let i = own + r * ${size}u;
        let k = i % 4u;
        let n = i / 4u % ${lanes}u * 4u + k;
        let t = from_ + i / ${4 * lanes}u % ${steps}u;
        if (i < ${all}u && t < count && n < dState) {
          let at = ${within("i / 4u", all / 4, (rounds * size) / 4)} * ${strideOf(share, quads)}u;
          var sum = 0.0;
          for (var j = 0u; j < ${terms}u; j++) { sum += ${term}; }
          let line = ((b * length + begin + t) * groups * ${perBlocks}u + block) * 2u + i / ${4 * lanes * steps}u;
          ${work.at("sumsBC", "line * dState + n")} = sum;
        }
      }`;
}
