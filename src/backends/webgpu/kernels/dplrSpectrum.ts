/**
 * S4's spectrum by the passes of dplrCauchy.ts. Forward: all time goes into the Cauchy sums, 26 operations a pair and
 * frequency for rank 1, 46 for rank 2; parallel over channels · length / 2. Backward: S anew with what Woodbury's identity
 * makes of its gradient, then sums by state over parts of the frequencies, then over parts; Δ enters as Δ Λ, Δ B and √Δ P
 * alone, so its gradient comes from theirs. Scratch: 2 (rank + 1)² floats a frequency.
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
import { into } from "./library.ts";

export const dplrSpectrum: KernelSet = {
  dynamic: ["channels", "n", "length"],

  forward(call) {
    const { channels, n, rank } = call.sizes;
    const sums = frequencyPass(
      rank,
      { channels, length: call.sizes.length },
      { reads: [], writes: ["spectrum: vec2f"] },
      `spectrum[at] = half * times(S0 - ${repeat(rank, (r) => `times(S${1 + r}, tB${r})`, " - ")}, w);`,
    );
    return {
      passes: [tablePass(channels, n, rank, "Ctilde", true), sums],
      scratch: { table: 2 * channels * n * rowOf(rank) },
    };
  },

  backward(call) {
    const { channels, n, rank, length } = call.sizes;
    const count = Math.floor(length / 2) + 1;
    const products = productsOf(rank);
    const parts = Math.ceil(count / partOf(length));
    const sums = frequencyPass(
      rank,
      { channels, length },
      { reads: ["d_spectrum: vec2f"], writes: ["pulls: vec2f"] },
      `let F0 = half * times(conjugate(d_spectrum[at]), w);${pulls(rank)}`,
    );
    const give = (name: string, value: string, at = "i") =>
      call.has(name) ? `${name}[${at}] ${into(call.adds(name))} ${value};` : "";
    const wantsDelta = call.has("d_delta");
    const wanted = ["d_lambda", "d_P", "d_B", "d_Ctilde"].filter((name) => call.has(name));
    const gradients: Pass = {
      reads: ["table: vec2f", "partials: vec2f"],
      writes: [...wanted.map((name) => `${name}: vec2f`), "shares"],
      workgroups: Math.ceil((channels * n) / size),
      workgroupSize: size,
      code: /* wgsl */ `${complex}
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  if (i >= channels * n) { return; }
  let half = table[i * ${rowOf(rank)}u].y;
  ${stateGradient(rank, length)}
  ${give("d_lambda", "half * x")}
  ${give("d_B", "right0")}
  ${give("d_Ctilde", "left0")}
  ${repeat(rank, (r) => `let P${r} = right${1 + r} + conjugate(left${1 + r}); ${give("d_P", `P${r}`, `${r}u * channels * n + i`)}`)}
  shares[i] = dot(base, x) + dot(R0, right0) + 0.5 * (${repeat(rank, (r) => `dot(R${1 + r}, P${r})`, " + ")});
}`,
    };
    const steps: Pass = {
      reads: ["delta", "shares"],
      writes: ["d_delta"],
      workgroups: Math.ceil(channels / size),
      workgroupSize: size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let h = group * ${size}u + lane;
  if (h >= channels) { return; }
  var sum = 0.0;
  for (var i = 0u; i < n; i++) { sum += shares[h * n + i]; }
  d_delta[h] ${into(call.adds("d_delta"))} sum / delta[h];
}`,
    };
    return {
      passes: [
        tablePass(channels, n, rank, "Ctilde", true),
        sums,
        statePass(rank, channels, n, length),
        gradients,
        ...(wantsDelta ? [steps] : []),
      ],
      scratch: {
        table: 2 * channels * n * rowOf(rank),
        pulls: 2 * channels * products * count,
        partials: 2 * channels * n * parts * (products + 1),
        shares: channels * n,
      },
    };
  },
};
