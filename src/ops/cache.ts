/** What a growing cache needs inside a captured program: rows written at a position, and the position moved on. */
import { apply, defineOp, type Op } from "../tensor/op.ts";
import { elementsOf, expectShape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * cache[b, position + i] ← rows[b, i], in place.
 *   cache (batch, capacity, …)      rows (batch, length, …)      position (1)
 * What would lie outside of the cache is not written.
 */
export const assignAtOp = defineOp<null>({
  name: "assignAt",
  inputs: ["cache", "rows", "position"],
  outputs: [],
  integers: ["position"],
  updates: ["cache"],

  shapes([cache, rows, position]) {
    const who = "assignAt";
    if (cache!.length < 3) {
      throw new ShapeError(`${who}: cache must be (batch, capacity, ...), got (${cache!.join(", ")})`); // not optional
    }
    const [batch, capacity, ...rest] = cache!;
    const [, length] = rows!;
    const fits = rows!.length === cache!.length && rows![0] === batch && length <= capacity;
    if (!fits || rest.some((size, i) => size !== rows![i + 2])) {
      throw new ShapeError(
        `${who}: rows must be (${batch}, at most ${capacity}, ${rest.join(", ")}), got (${rows!.join(", ")})`,
      );
    }
    expectShape(who, "position", position!, { one: 1 });
    return { sizes: { batch, capacity, length, width: elementsOf(rest) }, outputs: [] };
  },

  forward([cache, rows, position], _outputs, { batch, capacity, length, width }) {
    for (let b = 0; b < batch; b++) {
      for (let i = 0; i < length; i++) {
        const to = position![0] + i; // no input is optional
        if (to < 0 || to >= capacity) continue;
        for (let d = 0; d < width; d++) {
          cache![(b * capacity + to) * width + d] = rows![(b * length + i) * width + d];
        }
      }
    }
  },
});

/** y = position + by: i32 (1). */
export const advanceOp: Op<{ by: number }> = defineOp<{ by: number }>({
  name: "advance",
  inputs: ["position"],
  outputs: ["y"],
  integers: ["position"],
  shapes([position], { by }) {
    sizesOf("advance", "position", position!, ["one"]); // not optional
    expectShape("advance", "position", position!, { one: 1 });
    return { sizes: { by }, outputs: [position!], dtypes: ["i32"] };
  },
  forward([position], [y], { by }) {
    y[0] = position![0] + by; // not optional
  },
});

/**
 * Writes rows (batch, length, …) into a cache (batch, capacity, …) from `position`, i32 (1), on. Not differentiable.
 * @throws ShapeError when the rows are not those of the cache, or more than it holds.
 */
export function assignAt(cache: Tensor, rows: Tensor, position: Tensor): void {
  apply(assignAtOp, [cache, rows, position], null);
}

/** A position, i32 (1), `by` later. */
export function advance(position: Tensor, by: number): Tensor {
  return apply(advanceOp, [position], { by })[0];
}
