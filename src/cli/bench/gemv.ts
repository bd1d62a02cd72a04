import { capture, type Device, matmul } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { uniform } from "./inputs.ts";
import type { Topic } from "./topic.ts";

/** (inner, columns) of weights that decoding multiplies with. */
const weights: readonly (readonly [number, number])[] = [
  [64, 128],
  [256, 512],
  [768, 1536],
  [768, 3072],
  [1536, 768],
  [768, 50280], // the head of the 130m model: no cache holds it
];

export const gemv: Topic = {
  summary: "a row times a matrix: what decoding spends its time on",
  run({ quick, ...context }) {
    const sizes = quick ? weights.slice(0, 2) : weights;
    return runCases(
      "gemv",
      { quick, ...context },
      sizes.map(([inner, columns]) => rowCase(context.device, inner, columns)),
    );
  },
};

/** y (1, columns) = a (1, inner) b (inner, columns): each weight is read once. */
function rowCase(device: Device, inner: number, columns: number): Case {
  const a = uniform(device, [1, inner]);
  const b = uniform(device, [inner, columns]);
  const program = capture(device, () => matmul(a, b));
  const bytes = 4 * (inner + inner * columns + columns);
  return {
    name: `${inner}x${columns}`,
    bytes,
    flops: 2 * inner * columns,
    work: { amount: bytes / 1e9, unit: "GB" },
    ...replays(program),
    free() {
      for (const part of [program, a, b]) part.free();
    },
  };
}
