import { capture, causalConv1d, type Device, gradients } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { uniform } from "./inputs.ts";
import type { Topic } from "./topic.ts";

interface Size {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
}

const sizes: readonly Size[] = [
  { batch: 2, length: 1024, channels: 1536 },
  { batch: 8, length: 256, channels: 128 },
  { batch: 1, length: 4096, channels: 512 },
];

const dConv = 4;

export const conv: Topic = {
  summary: "the short causal convolution of Mamba with its SiLU, forward, and forward with backward",
  run: (context) =>
    runCases(
      "conv",
      context,
      (context.quick ? [{ batch: 2, length: 16, channels: 32 }] : sizes).flatMap((size) => [
        convCase(context.device, size, false),
        convCase(context.device, size, true),
      ]),
    ),
};

/**
 * Forward, per element: dConv multiply-adds, and 14 operations of SiLU (ten of its exponential, the rest of the
 * division). Backward: the same again for the slope, and dConv multiply-adds each for u and the weight. Forward reads
 * u and writes y; backward reads u and dy and writes du.
 */
function convCase(device: Device, { batch, length, channels }: Size, backward: boolean): Case {
  const u = uniform(device, [batch, length, channels]);
  const weight = uniform(device, [dConv, channels]);
  const bias = uniform(device, [channels]);
  const forward = () => causalConv1d(u, weight, { bias, silu: true }).y;
  const program = capture<unknown>(device, () =>
    backward ? gradients([u, weight, bias], forward) : forward(),
  );
  const elements = batch * length * channels;
  const bytes = 4 * elements * (backward ? 5 : 2);
  return {
    name: `B${batch} L${length} D${channels} forward${backward ? " and backward" : ""}`,
    bytes,
    flops: 2 * elements * (backward ? 2 * (dConv + 14) + 2 * dConv : dConv + 14),
    work: { amount: bytes / 1e9, unit: "GB" },
    ...replays(program),
    free() {
      for (const part of [program, u, weight, bias]) part.free();
    },
  };
}
