import { capture, type Device, matmul } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { uniform } from "./inputs.ts";
import type { Topic } from "./topic.ts";

interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  /** The factor that lies transposed in memory. */
  readonly transposed?: "a" | "b";
}

const products: readonly Product[] = [
  { rows: 2048, columns: 3072, inner: 768 }, // the projection into a block of the 130m model
  { rows: 512, columns: 1536, inner: 768 },
  { rows: 2048, columns: 128, inner: 64 }, // the induction-heads model
  { rows: 4096, columns: 1024, inner: 256 }, // D 256
  { rows: 4096, columns: 256, inner: 1024, transposed: "b" }, // the gradient of its input
  { rows: 256, columns: 1024, inner: 4096, transposed: "a" }, // the gradient of its weight
];

const small: readonly Product[] = [
  { rows: 64, columns: 48, inner: 32 },
  { rows: 64, columns: 48, inner: 32, transposed: "a" },
];

export const gemm: Topic = {
  summary: "products of matrices of the sizes that models have",
  run: (context) =>
    runCases(
      "gemm",
      context,
      (context.quick ? small : products).map((product) => productCase(context.device, product)),
    ),
};

/** y (rows, columns) = a (rows, inner) b (inner, columns): 2 · rows · columns · inner flops. */
export function productCase(device: Device, { rows, columns, inner, transposed }: Product): Case {
  const a = uniform(device, transposed === "a" ? [inner, rows] : [rows, inner]);
  const b = uniform(device, transposed === "b" ? [columns, inner] : [inner, columns]);
  const transposes = { transposeA: transposed === "a", transposeB: transposed === "b" };
  const program = capture(device, () => matmul(a, b, transposes));
  const flops = 2 * rows * columns * inner;
  return {
    name: `${rows}x${columns}x${inner}${transposed ? ` ${transposed} transposed` : ""}`,
    bytes: 4 * (rows * inner + inner * columns + rows * columns),
    flops,
    work: { amount: flops / 1e9, unit: "GFLOP" },
    ...replays(program),
    free() {
      for (const part of [program, a, b]) part.free();
    },
  };
}
