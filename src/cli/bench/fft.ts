import { capture, type Device, fftConv, gradients } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { convolutionFlops } from "./cost.ts";
import { uniform } from "./inputs.ts";
import type { Topic } from "./topic.ts";

interface Size {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
}

const sizes: readonly Size[] = [
  { batch: 16, length: 1024, channels: 128 },
  { batch: 8, length: 784, channels: 256 },
  { batch: 1, length: 16384, channels: 64 },
];

export const fft: Topic = {
  summary: "the long convolution of S4 and its skip, forward, and forward with backward",
  run: (context) =>
    runCases(
      "fft",
      context,
      (context.quick ? [{ batch: 2, length: 16, channels: 32 }] : sizes).flatMap((size) => [
        convolutionCase(context.device, size, false),
        convolutionCase(context.device, size, true),
      ]),
    ),
};

/**
 * The flops are counted in cost.ts. Forward reads u and the filter and writes y; backward reads u, dy and the filter
 * and writes du and the gradient of the filter.
 */
function convolutionCase(device: Device, { batch, length, channels }: Size, backward: boolean): Case {
  const u = uniform(device, [batch, length, channels]);
  const filter = uniform(device, [channels, length]);
  const D = uniform(device, [channels]);
  const inputs = [u, filter, D];
  const forward = () => fftConv(u, filter, { D });
  const program = capture<unknown>(device, () => (backward ? gradients(inputs, forward) : forward()));
  const elements = batch * length * channels;
  const floats = backward ? 5 * elements + 3 * channels * length : 2 * elements + channels * length;
  const cost = (pass: "forward" | "backward") => convolutionFlops(batch * channels, channels, length, pass);
  return {
    name: `B${batch} L${length} D${channels} forward${backward ? " and backward" : ""}`,
    bytes: 4 * floats,
    flops: cost("forward") + (backward ? cost("backward") : 0),
    work: { amount: elements / 1e6, unit: "M elements" },
    ...replays(program),
    free() {
      for (const part of [program, ...inputs]) part.free();
    },
  };
}
