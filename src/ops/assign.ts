import { apply, defineOp, type Op } from "../tensor/op.ts";
import { elementsOf, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** target ← value, in place. target, value any shape, the same. */
export const assignOp = copy("assign", []);
export const assignIntegersOp = copy("assignIntegers", ["target", "value"]);

/**
 * Copies the numbers of `value` into `target`. In a captured function this is what carries a state from one run to the
 * next: read `target`, compute, assign. Not differentiable.
 */
export function assign(target: Tensor, value: Tensor): void {
  if (target.buffer === value.buffer) return; // a GPU refuses to read and write one buffer in a pass
  apply(target.dtype === "i32" ? assignIntegersOp : assignOp, [target, value], null);
}

function copy(name: string, integers: readonly string[]): Op<null> {
  return defineOp<null>({
    name,
    inputs: ["target", "value"],
    outputs: [],
    integers,
    updates: ["target"],
    shapes([target, value]) {
      const [to, from] = [target!.join(", "), value!.join(", ")]; // neither is optional
      if (to !== from)
        throw new ShapeError(`assign: value must have the shape of target, (${to}), got (${from})`);
      return { sizes: { size: elementsOf(target!) }, outputs: [] };
    },
    forward([target, value]) {
      target!.set(value!);
    },
  });
}
