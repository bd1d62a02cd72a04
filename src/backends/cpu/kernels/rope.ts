import type { Sizes } from "../../../tensor/op.ts";
import { type KernelSet, onePass } from "./table.ts";

/** Tasks of 16 positions, as in rope.c. */
const tasks = ({ length }: Sizes) => Math.ceil(length / 16);

export const rope: KernelSet = {
  symbols: ["rope", "ropeBackward"],
  sizes: ["batch", "length", "heads", "headDim"],
  forward: onePass("rope", tasks),
  backward: onePass("ropeBackward", tasks),
};
