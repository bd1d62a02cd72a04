import { capture, type Device, diagonalFilter, diagonalScan, gradients } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { dplrCases } from "./dplr.ts";
import { uniform } from "./inputs.ts";
import type { Topic } from "./topic.ts";

interface Size {
  readonly channels: number;
  /** Half the states of a channel. */
  readonly n: number;
  readonly length: number;
}

const sizes: readonly Size[] = [
  { channels: 128, n: 32, length: 1024 },
  { channels: 256, n: 32, length: 16384 },
];

const batch = 4;

export const filter: Topic = {
  summary: "S4D and S4: their filters, forward, and forward with backward, and their recurrences",
  run: (context) =>
    runCases("filter", context, [
      ...(context.quick ? [{ channels: 8, n: 4, length: 64 }] : sizes).flatMap((size) => [
        filterCase(context.device, size, false),
        filterCase(context.device, size, true),
        scanCase(context.device, size),
      ]),
      ...dplrCases(context.device, context.quick),
    ]),
};

/** Λ as S4D-Lin, B, C, Δ. */
function systems(device: Device, { channels, n }: Size) {
  const lambda = Float32Array.from({ length: channels * n * 2 }, (_, i) =>
    i % 2 === 0 ? -0.5 : Math.PI * (((i - 1) / 2) % n),
  );
  return [
    device.tensor(lambda, [channels, n, 2]),
    uniform(device, [channels, n, 2]),
    uniform(device, [channels, n, 2]),
    uniform(device, [channels], 0.001, 0.1),
  ];
}

/** Multiply-adds per mode and position: 2 forward, 4 backward, whatever the rule (diagonalFilter.c). */
function filterCase(device: Device, size: Size, backward: boolean): Case {
  const inputs = systems(device, size);
  const [lambda, B, C, delta] = inputs;
  const forward = () => diagonalFilter(lambda, B, C, delta, { length: size.length });
  const program = capture<unknown>(device, () => (backward ? gradients(inputs, forward) : forward()));
  const terms = size.channels * size.n * size.length;
  return {
    name: `filter ${nameOf(size)} forward${backward ? " and backward" : ""}`,
    bytes: 4 * size.channels * ((backward ? 2 : 1) * size.length + (backward ? 12 : 6) * size.n),
    flops: 2 * terms * (backward ? 6 : 2),
    work: { amount: terms / 1e9, unit: "G terms" },
    ...replays(program),
    free() {
      for (const part of [program, ...inputs]) part.free();
    },
  };
}

/** Multiply-adds per mode and step: 8 (diagonalScan.c). */
function scanCase(device: Device, size: Size): Case {
  const inputs = [...systems(device, size), uniform(device, [batch, size.length, size.channels])];
  const [lambda, B, C, delta, u] = inputs;
  const program = capture(device, () => diagonalScan(u, lambda, B, C, delta).y);
  const steps = batch * size.channels * size.length;
  return {
    name: `recurrence B${batch} ${nameOf(size)} forward`,
    bytes: 4 * 2 * steps,
    flops: 2 * 8 * steps * size.n,
    work: { amount: (steps * size.n) / 1e9, unit: "G terms" },
    ...replays(program),
    free() {
      for (const part of [program, ...inputs]) part.free();
    },
  };
}

function nameOf({ channels, n, length }: Size): string {
  return `L${length} D${channels} n${n}`;
}
