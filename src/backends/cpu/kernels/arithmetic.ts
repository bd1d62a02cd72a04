import type { Sizes } from "../../../tensor/op.ts";
import { elementwise } from "./activation.ts";
import { block, blocks, type KernelSet, onePass } from "./table.ts";

export const arithmeticSets: Readonly<Record<string, KernelSet>> = {
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  scale: elementwise("scale", 3, ["factor"]),
  addScalar: elementwise("addScalar", 3, ["c"]),
};

function binary(name: string): KernelSet {
  const symbol = `${name}Backward`;
  return {
    symbols: [`${name}Forward`, symbol],
    sizes: ["n0", "n1", "n2", "n3", "a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"],
    forward: onePass(`${name}Forward`, (sizes) => blocks(lengths(sizes).size)),
    backward: {
      passes(sizes) {
        const { size, a, b, copies } = lengths(sizes);
        const first = { symbol, tasks: Math.ceil(size / share(sizes)) };
        return copies === 0 ? [first] : [first, { symbol, tasks: blocks(a) + blocks(b) }];
      },
      scratch(sizes) {
        const { size, copies } = lengths(sizes);
        return copies * Math.ceil(size / share(sizes));
      },
    },
  };
}

/** Elements of y, a and b, and those of a copy of the gradients of the repeated ones. */
function lengths(sizes: Sizes): { size: number; a: number; b: number; copies: number } {
  const axes = [0, 1, 2, 3];
  const size = axes.reduce((product, i) => product * sizes[`n${i}`], 1);
  const length = (operand: string) =>
    axes.reduce((product, i) => product * (sizes[`${operand}${i}`] ? sizes[`n${i}`] : 1), 1);
  const [a, b] = [length("a"), length("b")];
  return { size, a, b, copies: (a === size ? 0 : a) + (b === size ? 0 : b) };
}

/** Elements of y of one backward task, as in arithmetic.c. */
function share(sizes: Sizes): number {
  const { size, copies } = lengths(sizes);
  if (copies === 0) return block;
  const tasks = Math.max(1, Math.min(16, blocks(size), Math.floor(size / copies)));
  const least = Math.ceil(size / tasks);
  const width = sizes.n3;
  return width > 0 && width <= least ? Math.ceil(least / width) * width : Math.max(1, least);
}
