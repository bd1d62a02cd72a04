import { irfft, rfft } from "../math/fft.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "inverseRealFft";

/**
 * The inverse discrete Fourier transform of real sequences of any length, from the half of the spectrum that says all.
 *
 *   y_t = 1/length Σ_j X_j e^(2πi jt/length)        j from 0 to length − 1, X_(length−j) = X̄_j
 *
 *   X      (rows, ⌊length/2⌋ + 1, 2)      imaginary parts at j = 0 and j = length/2 count as 0
 *   y      (rows, length)
 */
export const inverseRealFftOp = defineOp<{ length: number }>({
  name: who,
  inputs: ["X"],
  outputs: ["y"],

  shapes([X], { length }) {
    if (!Number.isInteger(length) || length < 1) {
      throw new ShapeError(`${who}: length must be a whole number of at least 1, got ${length}`);
    }
    const { rows } = sizesOf(who, "X", X!, ["rows", "frequencies", "complex"]); // it is not optional
    expectShape(who, "X", X!, { rows, frequencies: Math.floor(length / 2) + 1, complex: 2 });
    return { sizes: { rows, length }, outputs: [[rows, length]] };
  },

  forward([X], [y], { rows, length }) {
    const half = 2 * Math.floor(length / 2) + 2;
    for (let row = 0; row < rows; row++) {
      const spectrum = Float64Array.from(X!.subarray(row * half, (row + 1) * half)); // it is not optional
      y.set(irfft(spectrum, length), row * length);
    }
  },

  // dX_j = c_j/length Σ_t dy_t e^(−2πi jt/length), where c counts j and length − j: 1 at the ends, else 2.
  backward(_inputs, _outputs, [dy], [dX], { rows, length }) {
    const half = 2 * Math.floor(length / 2) + 2;
    for (let row = 0; row < rows; row++) {
      const spectrum = rfft(Float64Array.from(dy.subarray(row * length, (row + 1) * length)));
      for (let i = 0; i < half; i++) {
        const j = i >> 1;
        const end = j === 0 || 2 * j === length;
        dX[row * half + i] += ((end ? 1 : 2) / length) * spectrum[i];
      }
    }
  },
});

/** The real sequences (rows, length) whose spectra begin with X (rows, ⌊length/2⌋ + 1, 2). */
export function inverseRealFft(X: Tensor, length: number): Tensor {
  return apply(inverseRealFftOp, [X], { length })[0];
}
