import { capture, type Device, dplrFilter, dplrScan, gradients, type Tensor } from "../../node.ts";
import { type Case, replays } from "./cases.ts";
import { uniform } from "./inputs.ts";

interface Size {
  readonly channels: number;
  /** Half the states of a channel. */
  readonly n: number;
  readonly length: number;
  readonly rank: number;
}

const sizes: readonly Size[] = [
  { channels: 128, n: 32, length: 1024, rank: 1 },
  { channels: 512, n: 32, length: 1024, rank: 1 },
  { channels: 128, n: 32, length: 1024, rank: 2 },
  { channels: 64, n: 32, length: 16384, rank: 1 },
];

const batch = 4;

/** S4: its filter, forward, and forward with backward, and its recurrence. */
export function dplrCases(device: Device, quick: boolean): Case[] {
  const all = quick ? [{ channels: 8, n: 4, length: 64, rank: 1 }] : sizes;
  return all.flatMap((size) => [
    filterCase(device, size, false),
    filterCase(device, size, true),
    scanCase(device, size),
  ]);
}

/** Λ about as HiPPO has it, P, B, C̃, Δ. */
function systems(device: Device, { channels, n, rank }: Size): Tensor[] {
  const lambda = Float32Array.from({ length: channels * n * 2 }, (_, i) =>
    i % 2 === 0 ? -0.5 : Math.PI * (((i - 1) / 2) % n),
  );
  const one = [channels, n, 2];
  return [
    device.tensor(lambda, one),
    uniform(device, [rank, ...one]),
    uniform(device, one),
    uniform(device, one),
    uniform(device, [channels], 0.001, 0.1),
  ];
}

/**
 * Operations per pair of states and frequency: 10 for what they have in common and 4 for each of the (rank + 1)² sums;
 * backward all of that again, and 28 and 8 (dplrSpectrum.h, dplrSpectrumBackward.h). Those of the inverse transform,
 * 2.5 length log₂ length a channel, once a pass.
 */
function filterCase(device: Device, size: Size, backward: boolean): Case {
  const { channels, n, length, rank } = size;
  const inputs = systems(device, size);
  const [lambda, P, B, C, delta] = inputs;
  const forward = () => dplrFilter(lambda, P, B, C, delta, { length });
  const program = capture<unknown>(device, () => (backward ? gradients(inputs, forward) : forward()));
  const terms = channels * n * (Math.floor(length / 2) + 1);
  const sums = (rank + 1) ** 2;
  const transforms = 2.5 * channels * length * Math.log2(length);
  const perTerm = 10 + 4 * sums + (backward ? 38 + 12 * sums : 0);
  return {
    name: `S4 filter ${nameOf(size)} forward${backward ? " and backward" : ""}`,
    bytes: 4 * channels * ((backward ? 2 : 1) * length + (backward ? 2 : 1) * (6 + 2 * rank) * n),
    flops: 2 * terms * perTerm + transforms * (backward ? 2 : 1),
    work: { amount: terms / 1e9, unit: "G terms" },
    ...replays(program),
    free() {
      for (const part of [program, ...inputs]) part.free();
    },
  };
}

/** Operations per pair and step: 8, and 4 a rank (dplrScan.c). */
function scanCase(device: Device, size: Size): Case {
  const { channels, n, length, rank } = size;
  const inputs = [...systems(device, size), uniform(device, [batch, length, channels])];
  const [lambda, P, B, C, delta, u] = inputs;
  const program = capture(device, () => dplrScan(u, lambda, P, B, C, delta).y);
  const steps = batch * channels * length;
  return {
    name: `S4 recurrence B${batch} ${nameOf(size)} forward`,
    bytes: 4 * 2 * steps,
    flops: 2 * (8 + 4 * rank) * steps * n,
    work: { amount: (steps * n) / 1e9, unit: "G terms" },
    ...replays(program),
    free() {
      for (const part of [program, ...inputs]) part.free();
    },
  };
}

function nameOf({ channels, n, length, rank }: Size): string {
  return `L${length} D${channels} n${n} rank ${rank}`;
}
