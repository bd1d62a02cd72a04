import { blocks, type Kernel, type KernelSet } from "./table.ts";

/** Float operations per element, give or take. */
const cheap = 3;
const exponential = 25;

/** The kernels of `y = f(u)`: one pass over blocks. Sizes beyond `size` are floats. */
export function elementwise(name: string, flops: number, constants: readonly string[] = []): KernelSet {
  const kernel = (symbol: string): Kernel => ({
    passes: ({ size }) => [{ symbol, tasks: blocks(size) }],
    work: ({ size }) => size * flops,
  });
  return {
    symbols: [`${name}Forward`, `${name}Backward`],
    sizes: ["size", ...constants],
    floats: constants,
    forward: kernel(`${name}Forward`),
    backward: kernel(`${name}Backward`),
  };
}

export const activationSets: Readonly<Record<string, KernelSet>> = {
  neg: elementwise("neg", cheap),
  exp: elementwise("exp", exponential),
  log: elementwise("log", exponential),
  sqrt: elementwise("sqrt", cheap),
  square: elementwise("square", cheap),
  sigmoid: elementwise("sigmoid", exponential),
  tanh: elementwise("tanh", exponential),
  relu: elementwise("relu", cheap),
  silu: elementwise("silu", exponential),
  softplus: elementwise("softplus", exponential),
  gelu: elementwise("gelu", exponential),
};
