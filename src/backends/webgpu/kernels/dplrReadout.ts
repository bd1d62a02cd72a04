/**
 * C from C̃. The mean of C̃ (I − Ā ω)⁻¹ over the roots of unity is what the backward of the spectrum gives B for a gradient of
 * e^(−iθ/2)/length at every frequency, so it is that backward (dplrCauchy.ts); then C = r (I − Δ/2 A), an invocation a channel.
 */
import type { KernelSet, Pass } from "../kernel.ts";
import { complex } from "./complexMath.ts";
import {
  dplrSize as size,
  frequencyPass,
  partOf,
  productsOf,
  pulls,
  rowOf,
  stateGradient,
  statePass,
  tablePass,
  repeat,
} from "./dplrCauchy.ts";

export const dplrReadout: KernelSet = {
  dynamic: ["channels", "n", "length"],

  forward(call) {
    const { channels, n, rank, length } = call.sizes;
    const count = Math.floor(length / 2) + 1;
    const products = productsOf(rank);
    const sums = frequencyPass(
      rank,
      { channels, length },
      { reads: [], writes: ["pulls: vec2f"] },
      `let F0 = select(0.5, 0.25, (j == 0u) | (2u * j == length)) / f32(length) * w;${pulls(rank)}`,
    );
    const means: Pass = {
      reads: ["table: vec2f", "partials: vec2f"],
      writes: ["means: vec2f"],
      workgroups: Math.ceil((channels * n) / size),
      workgroupSize: size,
      code: /* wgsl */ `${complex}
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  if (i >= channels * n) { return; }
  ${stateGradient(rank, length)}
  means[i] = conjugate(right0);
}`,
    };
    const readouts: Pass = {
      reads: ["lambda: vec2f", "P: vec2f", "delta", "means: vec2f"],
      writes: ["C: vec2f"],
      workgroups: Math.ceil(channels / size),
      workgroupSize: size,
      code: /* wgsl */ `${complex}
fn run(group: u32, lane: u32) {
  let h = group * ${size}u + lane;
  if (h >= channels) { return; }
  let half = 0.5 * delta[h];
  ${repeat(rank, (r) => `var reads${r} = 0.0;`)}
  for (var i = h * n; i < (h + 1u) * n; i++) {
    ${repeat(rank, (r) => `reads${r} += 2.0 * times(means[i], P[${r}u * channels * n + i]).x;`)}
  }
  for (var i = h * n; i < (h + 1u) * n; i++) {
    var low = times(means[i], lambda[i]);
    ${repeat(rank, (r) => `low -= reads${r} * conjugate(P[${r}u * channels * n + i]);`)}
    C[i] = means[i] - half * low;
  }
}`,
    };
    return {
      passes: [
        tablePass(channels, n, rank, "Ctilde", false),
        sums,
        statePass(rank, channels, n, length),
        means,
        readouts,
      ],
      scratch: {
        table: 2 * channels * n * rowOf(rank),
        pulls: 2 * channels * products * count,
        partials: 2 * channels * n * Math.ceil(count / partOf(length)) * (products + 1),
        means: 2 * channels * n,
      },
    };
  },
};
