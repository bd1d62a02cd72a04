import type { TensorNote, Values } from "./case.ts";

/** How far one computed tensor is from the golden one. */
export interface Comparison {
  readonly tensor: string;
  /** The worst |x − g| / (atol + rtol |g|): at most 1 to pass. */
  readonly ratio: number;
  /** max|x − g| / max|g|, to be held against the same figure of the reference's own float32 run. */
  readonly relative: number;
  /** That figure, for a tensor computed in float32 whose reference was measured in it too. */
  readonly reference: number | undefined;
  /** What is wrong, or null. */
  readonly failure: string | null;
}

/**
 * Compares elementwise: |x − g| ≤ atol + rtol |g|, with the tolerance of the precision that `actual` was computed in.
 * Integers must be equal; NaN fails; shapes must be the same.
 */
export function compare(tensor: string, actual: Values, golden: Values, note?: TensorNote): Comparison {
  const reference = actual.data instanceof Float32Array ? note?.ref_f32_rel_to_max : undefined;
  const fail = (failure: string) => ({ tensor, ratio: Infinity, relative: Infinity, reference, failure });
  if (actual.shape.join() !== golden.shape.join()) {
    return fail(`the shape must be (${golden.shape.join(", ")}), got (${actual.shape.join(", ")})`);
  }
  if (actual.data.length !== golden.data.length) {
    return fail(`must have ${golden.data.length} elements, got ${actual.data.length}`);
  }
  const { atol, rtol } = toleranceOf(actual, golden, note);
  let [worst, ratio, error, largest] = [-1, 0, 0, 0];
  golden.data.forEach((g, i) => {
    const x = actual.data[i];
    const difference = x === g ? 0 : Math.abs(x - g);
    const here = difference === 0 ? 0 : difference / (atol + rtol * Math.abs(g));
    largest = Math.max(largest, Math.abs(g));
    error = Math.max(error, difference);
    if (ratio < Infinity && !(here <= ratio)) [worst, ratio] = [i, Number.isNaN(here) ? Infinity : here];
  });
  const relative = error === 0 ? 0 : error / largest;
  const failure = ratio <= 1 ? null : `got ${actual.data[worst]} at [${worst}], golden ${golden.data[worst]}`;
  return { tensor, ratio, relative, reference, failure };
}

/** True when the note says that float32 cannot reproduce the tensor and `actual` was computed in float32. */
export function isUnreliable(actual: Values, note?: TensorNote): boolean {
  return note?.f32_unreliable === true && actual.data instanceof Float32Array;
}

/**
 * The tolerance of the note. Without one, the floor that every measured tolerance has: in float32 5e-6 of the largest
 * golden value and 1e-5 of each, in float64 1e-10 and 1e-9.
 */
function toleranceOf(actual: Values, golden: Values, note?: TensorNote): { atol: number; rtol: number } {
  if (golden.data instanceof Int32Array) return { atol: 0, rtol: 0 };
  let largest = 0;
  for (const g of golden.data) largest = Math.max(largest, Math.abs(g));
  return actual.data instanceof Float32Array
    ? (note?.tol_f32 ?? { rtol: 1e-5, atol: 5e-6 * largest })
    : (note?.tol_f64 ?? { rtol: 1e-9, atol: 1e-10 * largest });
}
