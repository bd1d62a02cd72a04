/** Sizes of a tensor, outermost first. */
export type Shape = readonly number[];

/** Thrown when tensors that should fit together do not. */
export class ShapeError extends Error {
  override name = "ShapeError";
}

/** How many elements a tensor of this shape has. */
export function elementsOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Demands `actual` to be the shape named dimension by dimension in `expected`. */
export function expectShape(
  where: string,
  what: string,
  actual: Shape,
  expected: Readonly<Record<string, number>>,
): void {
  const names = Object.keys(expected);
  const sizes = Object.values(expected);
  if (actual.length === sizes.length && sizes.every((size, i) => size === actual[i])) return;
  throw new ShapeError(
    `${where}: ${what} must be (${names.join(", ")}) = (${sizes.join(", ")}), got (${actual.join(", ")})`,
  );
}

/** The sizes of `shape` by name, once its rank is known to be right. */
export function sizesOf<Name extends string>(
  where: string,
  what: string,
  shape: Shape,
  names: readonly Name[],
): Record<Name, number> {
  if (shape.length !== names.length) {
    throw new ShapeError(`${where}: ${what} must be (${names.join(", ")}), got (${shape.join(", ")})`);
  }
  return Object.fromEntries(names.map((name, i) => [name, shape[i]])) as Record<Name, number>;
}
